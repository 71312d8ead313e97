"""Pairs that part in one step."""

from hypothesis import given
from hypothesis import strategies as st

from selfreward.judges.votes import make_judgement
from selfreward.pairing.steps import step_vs_step, steps
from selfreward.records import Judgement, Response, Vote


def judged(*scored: tuple[str, float | None]) -> list[Judgement]:
    found = []
    for i, (text, score) in enumerate(scored):
        response = Response(
            id=f"r{i}", prompt_id="p", prompt="p", text=text, model="m1", sample=i, num_tokens=1, finished=True
        )
        vote = Vote(score=score, fault=None if score is not None else "unreadable", text="")
        found.append(make_judgement(response, [vote], "m1"))
    return found


@given(st.text(alphabet="ab ,.\n1", max_size=40))
def test_the_steps_of_a_response_are_the_response(text: str) -> None:
    assert "".join(steps(text)) == text


def test_steps_end_at_punctuation_and_lines_and_not_within_a_number() -> None:
    assert steps("List: saw, rake.\nThen 3.5 of it") == ["List: ", "saw, ", "rake.\n", "Then 3.5 of it"]


def test_the_pair_is_cut_after_the_step_in_which_the_responses_part() -> None:
    (pair,) = step_vs_step(judged(("A, b, c.", 5.0), ("A, b, d.", 4.0), ("A, x, c.", 1.0))).pairs
    assert (pair.chosen, pair.rejected) == ("A, b, ", "A, x, ")
    assert (pair.chosen_score, pair.rejected_score, pair.whole) == (4.5, 1.0, False)


def test_where_both_end_there_the_end_is_taught_too() -> None:
    (pair,) = step_vs_step(judged(("A, b.", 5.0), ("A, c.", 1.0))).pairs
    assert pair.chosen == "A, b." and pair.whole


def test_a_prompt_without_difference_gives_no_pair() -> None:
    assert step_vs_step(judged(("A, b.", 3.0), ("A, c.", 3.0))).counts["tie"] == 1
    assert step_vs_step(judged(("A, b.", 3.0), ("A, c.", None))).counts["too_few_scored"] == 1
    assert step_vs_step(judged(("A, b.", 3.0), ("A, c.", 2.5)), min_margin=1.0).counts["small_margin"] == 1


def test_steps_that_differ_in_white_space_alone_are_no_pair() -> None:
    assert step_vs_step(judged(("A, b, c.", 5.0), ("A, b,\nc.", 1.0))).counts["tie"] == 1


def test_the_order_of_the_responses_changes_nothing() -> None:
    scored = [("A, b, c.", 5.0), ("A, b, d.", 4.0), ("A, x, c.", 1.0), ("B.", 2.0)]
    (pair,), (again,) = step_vs_step(judged(*scored)).pairs, step_vs_step(judged(*reversed(scored))).pairs
    assert (pair.chosen, pair.rejected, pair.margin) == (again.chosen, again.rejected, again.margin)
