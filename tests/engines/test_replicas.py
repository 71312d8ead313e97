"""Replicas that share requests, without a cluster: nothing is lost, nothing is twice, however many of them die."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfreward.engines.replicas import Died, Replicas
from selfreward.errors import StageFailed
from selfreward.recipe import Ray

Fate = Callable[[list[int]], BaseException | None]  # of a block: None, or what becomes of the replica that has it


class Fake:
    """A replica that doubles numbers at once, if its fate lets it."""

    def __init__(self, fate: Fate, blocks: list[list[int]]) -> None:
        self.fate, self.blocks, self.ended = fate, blocks, False

    def ask(self, method: str, items: Sequence[Any], *arguments: Any) -> "Future[list[Any]]":
        assert not self.ended
        answer: Future[list[Any]] = Future()
        if method == "double":
            self.blocks.append(list(items))
        if error := self.fate(list(items)):
            answer.set_exception(error)
        else:
            answer.set_result([2 * item + sum(arguments) for item in items])
        return answer

    def end(self) -> None:
        self.ended = True


class Cluster:
    """Starts fakes; `fate` is told of every block, and of the empty one with which a replica begins."""

    def __init__(self, fate: Fate = lambda items: None) -> None:
        self.fate = fate
        self.started: list[Fake] = []
        self.blocks: list[list[int]] = []

    def start(self) -> Fake:
        self.started.append(Fake(lambda items: self.fate(items), self.blocks))
        return self.started[-1]

    def replicas(self, num: int = 3, **settings: Any) -> Replicas:
        return Replicas(self.start, Ray.model_validate({"replicas": num, "block": 4, **settings}))


def test_answers_come_in_the_order_of_the_items_with_what_else_was_given() -> None:
    assert Cluster().replicas().run("double", range(30), 100) == ([100 + 2 * i for i in range(30)], None)


@pytest.mark.parametrize(("num_items", "sizes"), [(30, {4: 7, 2: 1}), (6, {2: 3}), (2, {1: 2}), (0, {})])
def test_blocks_are_small_and_fewer_items_are_spread_over_all_replicas(num_items: int, sizes: dict[int, int]) -> None:
    cluster = Cluster()
    cluster.replicas().run("double", range(num_items))
    assert Counter(map(len, cluster.blocks)) == sizes


@given(deaths=st.lists(st.integers(0, 12), max_size=12), num=st.integers(1, 4), block=st.integers(1, 5))
def test_the_block_of_a_replica_that_dies_goes_to_another_and_nothing_is_lost_or_twice(
    deaths: list[int], num: int, block: int
) -> None:
    """`deaths` are the numbers of the questions, beginnings too, at which a replica dies."""
    asked = iter(range(10**6))
    cluster = Cluster(lambda items: Died("killed") if next(asked) in deaths else None)
    replicas = cluster.replicas(num, block=block)
    assert replicas.run("double", range(17)) == ([2 * i for i in range(17)], None)
    assert replicas.run("double", range(17)) == ([2 * i for i in range(17)], None)
    assert sum(not fake.ended for fake in cluster.started) == num  # as many as ever
    replicas.close()
    assert all(fake.ended for fake in cluster.started)
    assert replicas.counts["deaths"] == len(cluster.started) - num


def test_a_block_that_kills_every_replica_is_given_up_and_the_others_are_kept() -> None:
    cluster = Cluster(lambda items: Died("out of memory") if 9 in items else None)
    replicas = cluster.replicas(deaths=2)
    answers, failed = replicas.run("double", range(30))
    assert (
        str(failed) == "engine.ray: 3 replicas died; the last: out of memory; run again to go on, or raise ray.deaths"
    )
    unanswered = [i for i, answer in enumerate(answers) if answer is None]
    assert {8, 9, 10, 11} <= set(unanswered)
    assert all(answer in (None, 2 * i) for i, answer in enumerate(answers))
    assert replicas.run("double", range(8)) == ([2 * i for i in range(8)], None)  # deaths are counted afresh


def test_replicas_that_die_as_they_begin_are_counted_too() -> None:
    answers, failed = Cluster(lambda items: Died("no memory")).replicas(deaths=4).run("double", range(8))
    assert answers == [None] * 8 and "5 replicas died" in str(failed)


def test_what_an_engine_cannot_do_ends_the_call_with_what_is_there_and_costs_no_replica() -> None:
    broken = StageFailed("memory is too small")
    cluster = Cluster(lambda items: broken if 4 in items else None)
    answers, failed = cluster.replicas(1).run("double", range(12))
    assert (answers, failed) == ([0, 2, 4, 6, *[None] * 8], broken)
    assert len(cluster.started) == 1


def test_any_other_error_is_raised_once_what_is_under_way_has_ended() -> None:
    cluster = Cluster(lambda items: ValueError("does not fit") if 4 in items else None)
    replicas = cluster.replicas()
    with pytest.raises(ValueError, match="does not fit"):
        replicas.run("double", range(12))
    cluster.fate = lambda items: None
    assert replicas.run("double", range(12)) == ([2 * i for i in range(12)], None)
    assert len(cluster.started) == 3


def test_a_cluster_without_room_for_a_single_replica_is_not_waited_for_without_end() -> None:
    class Never(Fake):
        def ask(self, method: str, items: Sequence[Any], *arguments: Any) -> "Future[list[Any]]":
            return Future()

    replicas = Replicas(lambda: Never(lambda items: None, []), Ray(replicas=2, start_s=0.05))
    answers, failed = replicas.run("double", range(3))
    assert answers == [None] * 3
    assert "no replica was ready within 0.05 s" in str(failed)


def test_one_that_finds_no_room_leaves_its_share_to_the_others() -> None:
    cluster = Cluster()

    class Never(Fake):
        def ask(self, method: str, items: Sequence[Any], *arguments: Any) -> "Future[list[Any]]":
            return Future()

    first = iter([Never(lambda items: None, [])])
    replicas = Replicas(lambda: next(first, None) or cluster.start(), Ray(replicas=2, block=1, start_s=0.05))
    assert replicas.run("double", range(9)) == ([2 * i for i in range(9)], None)
    assert replicas.counts == {"loaded": 1, "deaths": 0}
