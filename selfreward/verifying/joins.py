"""Records against one another: that every id leads to its record, texts and scores agree, and counts are those of the files."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from selfreward import store
from selfreward.errors import BadInput
from selfreward.judges.pairwise import Meeting
from selfreward.judges.shown import judge_prompt
from selfreward.pairing.judging import vote_id
from selfreward.pairing.people import person_id
from selfreward.prompts import Attempt
from selfreward.recipe import Judge, Recipe
from selfreward.recipe.round import GROUNDED
from selfreward.records import Example, Judgement, Pair, Prompt, RankedSet, Record, Response
from selfreward.responses import Responses, ranked_responses
from selfreward.store.files import last_line
from selfreward.store.lines import id_of

R = TypeVar("R", bound=Record)
Said = tuple[bool, str]  # (whether it is a fault, a sentence)
About = tuple[str, int, int]  # of a response: the id of its prompt, the hashes of both texts
Known = dict[str, About]  # by the id of a response
Scores = dict[str, float | None]  # by the id of a response
SCORED_BY_JUDGEMENTS = ("self_rewarding", "positives_only", "meta_rewarding", "irpo", "temporal", "frozen_reward_model")
Counts = dict[str, dict[str, int]]  # as in counts.json


def check_records(run: Path, recipe: Recipe) -> Iterator[Said]:
    """What the records of a run say against one another, folder by folder."""
    folders: list[tuple[str, Callable[[Folder], Iterator[str]]]] = [(store.SEED_FOLDER, _seed)]
    folders += [(store.model_name(k), _round if k >= 2 else _model) for k in (-1, *range(1, recipe.rounds + 2))]
    folders.append((store.REWARD_MODEL_FOLDER, _reward_model))
    for name, check in folders:
        folder = Folder(run / name, recipe)
        try:
            yield from ((True, sentence) for sentence in check(folder))
        except BadInput as error:
            yield True, str(error)
        except (AttributeError, TypeError, ValueError) as error:  # JSON of another shape
            yield True, f"{folder.path}: a file of it holds what no run writes there: {error}"
        yield from ((False, sentence) for sentence in folder.torn)


@dataclass
class Folder:
    """A part of a run, `seed` or a model's, and the faults of its files that were met while they were read."""

    path: Path
    recipe: Recipe
    twice: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Whether one of these files is there."""
        return any((self.path / name).exists() for name in names)

    def records(self, name: str, record_type: type[R]) -> Iterator[R]:
        """The records of a file, none where there is none; notes ids that stand twice and a torn last line."""
        path = self.path / name
        if not path.exists():
            return
        ids: set[str] = set()
        for record in store.stream(path, record_type):
            id = id_of(record)
            if id in ids:
                self.twice.append(f"{path}: the id {id} stands twice")
            ids.add(id)
            yield record
        if last_line(path):
            self.torn.append(f"{path}: ends in a line that was being written; the next launch sees to it")

    def json(self, name: str) -> Mapping[str, Any]:
        """The object in a JSON file, empty where there is no file; BadInput for anything else."""
        if not self.has(name):
            return {}
        found = store.read_json(self.path / name)
        if not isinstance(found, dict):
            raise BadInput("not a JSON object", self.path / name)
        return found

    def say(self, name: str, what: str, ids: list[str]) -> Iterator[str]:
        """One sentence about all the records of a file that have a fault."""
        if ids:
            yield f"{self.path / name}: {len(ids)} {what}, such as {ids[0]}"


def _known(responses: Iterable[Response]) -> Known:
    return {one.id: _about(one.prompt_id, one.prompt, one.text) for one in responses}


def _about(prompt_id: str, prompt: str, text: str) -> About:
    return prompt_id, hash(prompt), hash(text)


def _seed(folder: Folder) -> Iterator[str]:
    """The seeds, and what was made of them."""
    num_ift = sum(1 for _ in folder.records(store.IFT_FILE, Example))
    ranked = list(folder.records(store.RANKED_FILE, RankedSet))
    for name in (store.EVAL_SEED_FILE, store.VALIDATION_SEED_FILE):
        for _ in folder.records(name, RankedSet):
            pass
    known, judge = _known(ranked_responses(ranked)), folder.recipe.judge
    judged, _ = yield from _judgements(folder, store.EFT_JUDGEMENTS_FILE, known, judge)
    num_eft = sum(1 for _ in folder.records(store.EFT_FILE, Example))
    if folder.has(store.EFT_FILE):
        yield from _all_there(folder, store.EFT_JUDGEMENTS_FILE, known, judged, "judgement")
    counts = folder.json(store.COUNTS_FILE)
    eft, ift = counts.get("eft", {}), counts.get("ift", {})
    if eft:
        kept = eft.get("judgements_kept", 0) - eft.get("judgements_thinned_out", 0)
        yield from _counted(folder, store.EFT_FILE, "eft", kept, num_eft)
    yield from _counted(folder, store.IFT_FILE, "ift/used", ift.get("used", num_ift), num_ift)
    yield from folder.twice


def _model(folder: Folder) -> Iterator[str]:
    """A model that is taught by examples of the seeds alone, and its measurements."""
    lesson = folder.json(store.LESSON_FILE)
    if lesson:
        seed = Folder(folder.path.parent / store.SEED_FOLDER, folder.recipe)
        names = [store.IFT_FILE, *([store.EFT_FILE] if folder.path.name == store.model_name(1) else [])]
        examples = sum(1 for name in names for _ in seed.records(name, Example))
        yield from _counted(folder, store.LESSON_FILE, "num_examples", lesson.get("num_examples"), examples)
        yield from _start_is_there(folder, lesson)
    yield from _measured(folder)
    yield from folder.twice


def _round(folder: Folder) -> Iterator[str]:
    """A round: prompts, responses to them, judgements of those, pairs of these, and the counts of all."""
    for _ in folder.records(store.ATTEMPTS_FILE, Attempt):
        pass
    k = int(folder.path.name.removeprefix("m"))
    settings = folder.recipe.of_round(k)
    prompts = {one.id: hash(one.text) for one in folder.records(store.PROMPTS_FILE, Prompt)}
    num_samples = settings.responses.num_samples if prompts else None  # a round on the seed's prompts may want fewer
    own = yield from _responses(folder, store.RESPONSES_FILE, store.model_name(k - 1), num_samples, prompts or None)
    responses = dict(own)
    for path in sorted(folder.path.glob(store.OTHERS_RESPONSES_FILE.format(model="*"))):
        model = path.stem.partition("-")[2]
        responses |= yield from _responses(folder, path.name, model, settings.responses.num_samples, prompts)
    ranked = _known(ranked_responses(list(folder.records(store.SELF_RANKED_FILE, RankedSet))))
    judged, totals = yield from _judgements(folder, store.JUDGEMENTS_FILE, responses | ranked, settings.judge)
    num_pairs = yield from _pairs(folder, k, responses, judged)
    answered = {about[0] for about in own.values()}
    if folder.has(store.JUDGEMENTS_FILE):
        yield from _all_there(folder, store.RESPONSES_FILE, prompts, answered, "response")
    asks_a_judge = settings.strategy in SCORED_BY_JUDGEMENTS or folder.has(store.JUDGEMENTS_FILE)
    if folder.has(store.PAIRS_FILE, store.LESSON_FILE) and asks_a_judge:
        yield from _all_there(folder, store.JUDGEMENTS_FILE, ranked or responses, judged, "judgement")
    found = {
        "prompts": {"accepted": len(prompts)}, "responses": {"responses": len(own)}, "pairs": {"pairs": num_pairs},
        **totals,
    }  # fmt: skip
    for stage, counts in folder.json(store.COUNTS_FILE).items():
        for name, number in found.get(stage, {}).items():
            yield from _counted(folder, store.COUNTS_FILE, f"{stage}/{name}", counts.get(name, 0), number)
    lesson = folder.json(store.LESSON_FILE)
    if lesson:
        if lesson.get("method") == "dpo":
            yield from _counted(folder, store.LESSON_FILE, "num_pairs", lesson.get("num_pairs"), num_pairs)
        if lesson.get("method") == "rl":
            yield from _counted(folder, store.LESSON_FILE, "num_prompts", lesson.get("num_prompts"), len(prompts))
        yield from _start_is_there(folder, lesson)
    yield from _stopped(folder)
    yield from _measured(folder)
    yield from folder.twice


def _stopped(folder: Folder) -> Iterator[str]:
    """What the snapshots of a training were asked, what was said of it, and which of them was chosen."""
    seed = Folder(folder.path.parent / store.SEED_FOLDER, folder.recipe)
    judge = folder.recipe.of_round(int(folder.path.name.removeprefix("m"))).judge
    sets = list(seed.records(store.VALIDATION_SEED_FILE, RankedSet))
    prompts = {one.prompt for one in sets}
    answers = [one for line in folder.records(store.VALIDATION_RESPONSES_FILE, Responses) for one in line.samples]
    lost = [one.id for one in answers if one.prompt not in prompts]
    yield from folder.say(
        store.VALIDATION_RESPONSES_FILE, "responses to prompts that are not those of validation", lost
    )
    judged, _ = yield from _judgements(
        folder,
        store.VALIDATION_JUDGEMENTS_FILE,
        _known([*answers, *ranked_responses(sets)]),
        judge,
    )
    texts = {(one.prompt, one.text) for one in answers}
    meetings = folder.records(store.VALIDATION_MEETINGS_FILE, Meeting)
    lost = [one.id for one in meetings if not {(one.prompt, one.answer_1), (one.prompt, one.answer_2)} <= texts]
    yield from folder.say(store.VALIDATION_MEETINGS_FILE, "comparisons of answers that are not there", lost)
    found = folder.json(store.EARLY_STOPPING_FILE)
    if found:
        yield from _counted(folder, store.EARLY_STOPPING_FILE, "num_prompts", found.get("num_prompts"), len(sets))
        if found.get("by") == "scores":
            wanted = [one.id for one in answers]
            yield from _all_there(folder, store.VALIDATION_JUDGEMENTS_FILE, wanted, judged, "judgement")
        better = [one["step"] for one in found.get("looked_at", []) if one.get("better")] or found.get("steps", [])[:1]
        if [found.get("chosen")] != better[-1:]:
            yield f"{folder.path / store.EARLY_STOPPING_FILE}: step {found.get('chosen')} is not the last that was better"


def _reward_model(folder: Folder) -> Iterator[str]:
    """A reward model, where there is one: what it was taught, and its judgements of held-out responses."""
    lesson = folder.json(store.LESSON_FILE)
    if lesson:
        num_pairs = folder.json(store.COUNTS_FILE).get("pairs", {}).get("pairs")
        yield from _counted(folder, store.LESSON_FILE, "num_pairs", lesson.get("num_pairs"), num_pairs)
        yield from _start_is_there(folder, lesson)
    seed = Folder(folder.path.parent / store.SEED_FOLDER, folder.recipe)
    known = _known(ranked_responses(list(seed.records(store.EVAL_SEED_FILE, RankedSet))))
    judged, _ = yield from _judgements(folder, store.EVAL_JUDGEMENTS_FILE, known, folder.recipe.judge)
    if folder.has(store.EVAL_FILE):
        yield from _all_there(folder, store.EVAL_JUDGEMENTS_FILE, known, judged, "judgement")
    yield from folder.twice


def _measured(folder: Folder) -> Iterator[str]:
    """The answers, judgements and figures of a model's evaluation."""
    name, seed = folder.path.name, Folder(folder.path.parent / store.SEED_FOLDER, folder.recipe)
    options = folder.recipe.evaluation
    yield from _responses(folder, store.EVAL_RESPONSES_FILE, name, options.num_samples)
    known = _known(ranked_responses(list(seed.records(store.EVAL_SEED_FILE, RankedSet))))
    judged, totals = yield from _judgements(folder, store.EVAL_JUDGEMENTS_FILE, known, folder.recipe.judge)
    found = folder.json(store.EVAL_FILE)
    if found:
        yield from _all_there(folder, store.EVAL_JUDGEMENTS_FILE, known, judged, "judgement")
        if found.get("model") != name:
            yield f"{folder.path / store.EVAL_FILE}: is about {found.get('model')}"
        health = found.get("judge_health", {})
        num = totals["judgements"]["judgements"]
        yield from _counted(folder, store.EVAL_FILE, "judge_health/judgements", health.get("judgements"), num)


def _responses(
    folder: Folder, name: str, model: str, num_samples: int | None, prompts: Mapping[str, int] | None = None
) -> Generator[str, None, Known]:
    """Returns what is known of the responses in a file; `prompts` are the hashes of the texts that were asked, if known.

    Where `num_samples` is None all must have as many as the first.
    """
    lost, few, strange = list[str](), list[str](), list[str]()
    known: Known = {}
    for line in folder.records(name, Responses):
        if prompts is not None and any(prompts.get(line.id) != hash(one.prompt) for one in line.samples):
            lost.append(line.id)
        num_samples = num_samples or len(line.samples)
        if len(line.samples) != num_samples:
            few.append(line.id)
        for place, one in enumerate(line.samples):
            if (one.prompt_id, one.model, one.sample) != (line.id, model, place) or one.id in known:
                strange.append(one.id)
            known[one.id] = _about(one.prompt_id, one.prompt, one.text)
    yield from folder.say(name, "prompts that are not those of prompts.jsonl", lost)
    yield from folder.say(name, f"prompts without {num_samples} responses", few)
    yield from folder.say(name, f"responses that are not {model}'s to the prompt of their line", strange)
    return known


def _judgements(
    folder: Folder, name: str, responses: Known, judge: Judge
) -> Generator[str, None, tuple[Scores, Counts]]:
    """Returns (response id -> score, counts as in counts.json) of the judgements in a file."""
    lost, wrong, strange = list[str](), list[str](), list[str]()
    most_evidence = judge.passages if judge.own_name == GROUNDED else 0
    scores: Scores = {}
    votes: dict[str, int] = {}
    totals = {"judgements": 0, "unscored": 0, "of_cut_responses": 0, "with_evidence": 0}
    for one in folder.records(name, Judgement):
        if responses.get(one.response_id) != _about(one.prompt_id, one.prompt, one.response):
            lost.append(one.id)
        read = [vote.score for vote in one.votes if vote.score is not None]
        is_mean = one.score is None or (bool(read) and one.score == math.fsum(read) / len(read))
        if not is_mean or one.coverage != (len(read) / len(one.votes) if one.votes else 0.0):
            wrong.append(one.id)
        if len(one.evidence) > most_evidence:
            strange.append(one.id)
        scores[one.response_id] = one.score
        for vote in one.votes:
            votes[vote.fault or "read"] = votes.get(vote.fault or "read", 0) + 1
        totals["judgements"] += 1
        totals["unscored"] += one.score is None
        totals["of_cut_responses"] += one.cut > 0
        totals["with_evidence"] += bool(one.evidence)
    yield from folder.say(name, "judgements of no response that is there, or of another text", lost)
    yield from folder.say(name, "judgements whose score or coverage is not that of their votes", wrong)
    yield from folder.say(name, "judgements with more evidence than the recipe's judge is shown", strange)
    return scores, {"votes": votes, "judgements": totals}


def _pairs(folder: Folder, k: int, responses: Known, scores: Scores) -> Generator[str, None, int]:
    """Returns the number of pairs.

    A pair's texts are responses of the round or of the seed, votes on them, or beginnings of them, as its strategy has it; a
    pair of an earlier round is that pair.
    """
    lost, wrong = list[str](), list[str]()
    settings = folder.recipe.of_round(k)
    earlier: dict[str, Pair] = {}
    if folder.has(store.PAIRS_FILE):
        for number in range(2, k):
            before = Folder(folder.path.parent / store.model_name(number), folder.recipe)
            earlier |= {pair.id: pair for pair in before.records(store.PAIRS_FILE, Pair)}
        responses = responses | _of_the_seed(folder) | _votes(folder, settings.judge.template)
    beginnings: dict[str, list[str]] = {}
    if settings.strategy == "process_based":
        for line in folder.records(store.RESPONSES_FILE, Responses):
            beginnings[line.id] = [one.text for one in line.samples]
    num = 0
    for pair in folder.records(store.PAIRS_FILE, Pair):
        num += 1
        if pair.margin != pair.chosen_score - pair.rejected_score:
            wrong.append(pair.id)
        if pair.id in earlier:
            if earlier[pair.id] != pair:
                lost.append(pair.id)
            continue
        ends = [
            (pair.chosen_id, pair.chosen, pair.chosen_score),
            (pair.rejected_id, pair.rejected, pair.rejected_score),
        ]
        for id, text, score in ends:
            begins = any(one.startswith(text) for one in beginnings.get(pair.prompt_id, ()))
            if not begins and responses.get(id) != _about(pair.prompt_id, pair.prompt, text):
                lost.append(pair.id)
            elif settings.strategy in SCORED_BY_JUDGEMENTS and id in scores and scores[id] != score:
                wrong.append(pair.id)
    yield from folder.say(store.PAIRS_FILE, "pairs of responses that are not there, or of other texts", lost)
    yield from folder.say(store.PAIRS_FILE, "pairs whose scores are not those of the judgements", wrong)
    return num


def _of_the_seed(folder: Folder) -> Known:
    """What people wrote, as the sides of pairs."""
    seed = Folder(folder.path.parent / store.SEED_FOLDER, folder.recipe)
    people = {
        person_id(one): _about(one.id, one.prompt, one.response) for one in seed.records(store.IFT_FILE, Example)
    }  # fmt: skip
    return people | _known(ranked_responses(list(seed.records(store.RANKED_FILE, RankedSet))))


def _votes(folder: Folder, template: str) -> Known:
    """The votes of a round as answers to the judge's prompts, where a strategy makes pairs of them."""
    if not folder.has(store.META_JUDGEMENTS_FILE):
        return {}
    known: Known = {}
    for one in store.stream(folder.path / store.JUDGEMENTS_FILE, Judgement):
        prompt = judge_prompt(template, one.prompt, one.response, one.cut, one.evidence)
        known |= {vote_id(one, vote): _about(one.id, prompt, vote.text) for vote in one.votes}
    return known


def _all_there(folder: Folder, name: str, wanted: Iterable[str], found: Iterable[str], what: str) -> Iterator[str]:
    """What a later file shows to have been finished has a record for each."""
    yield from folder.say(name, f"records have no {what}", sorted(set(wanted) - set(found)))


def _counted(folder: Folder, name: str, what: str, said: Any, found: int) -> Iterator[str]:
    """A number that a file states against what there is."""
    if said != found:
        yield f"{folder.path / name}: {what} is stated as {said} and there are {found}"


def _start_is_there(folder: Folder, lesson: Mapping[str, Any]) -> Iterator[str]:
    """The models that a lesson names."""
    for role in ("start", "reference"):
        k = lesson.get(role)
        if k and not (folder.path.parent / store.model_name(k) / store.MODEL_FOLDER).is_dir():
            yield f"{folder.path / store.LESSON_FILE}: its {role}, {store.model_name(k)}, is not there"
