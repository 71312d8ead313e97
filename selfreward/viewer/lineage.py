"""What became of one prompt in a round: who wrote it after which examples, what was answered, what the judge said, which pair
it gave, and why that one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from selfreward import store
from selfreward.errors import BadInput
from selfreward.prompts import Attempt
from selfreward.records import Example, Judgement, Pair, Prompt, Record, Response
from selfreward.report.reading import place
from selfreward.responses import Responses
from selfreward.store.files import read_record
from selfreward.viewer.index import Index
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.lines import lines_from
from selfreward.viewer.runs import Source, sources

R = TypeVar("R", bound=Record)
Role = Literal["chosen", "rejected"]


@dataclass(frozen=True)
class Answer:
    """One response and what the judge said of it."""

    response: Response
    judgement: Judgement | None
    role: Role | None  # in the pair


@dataclass
class Lineage:
    """All that a round knows of a prompt; what is not there, or not indexed yet, is None or empty."""

    part: str  # the folder of the round: m2, m3 ...
    prompt_id: str
    prompt: str
    source: str | None = None  # who wrote it
    attempt: Attempt | None = None
    examples: list[tuple[str, str]] = field(default_factory=list)  # (text, source) of what its writer was shown
    answers: list[Answer] = field(default_factory=list)
    pair: Pair | None = None
    pair_begin: int | None = None  # where its line begins
    num_pairs: int = 0  # that were made of the prompt; strategies differ
    why: list[str] = field(default_factory=list)  # sentences
    lesson: str = ""  # of the round, a sentence
    is_taught: bool = False  # whether the round's model is there
    unknown: dict[str, float] = field(
        default_factory=dict
    )  # file -> share that is indexed, of those that are not whole


class Reader:
    """Finds records of a run by their ids."""

    def __init__(self, run: Path, indexes: Indexes) -> None:
        self.run, self._indexes = run, indexes
        self.unknown: dict[str, float] = {}

    def about(self, part: str, file: str, record_type: type[R], prompt_id: str) -> list[tuple[int, R]]:
        """(where its line begins, record) of all records of a file that are about a prompt."""
        source = self._source(part, file)
        if source is None:
            return []
        index = self._index(source)
        return [found for begin in index.begins("prompt", prompt_id) if (found := _record(source, begin, record_type))]

    def by_id(self, part: str, file: str, record_type: type[R], id: str) -> R | None:
        """The record of this id."""
        source = self._source(part, file)
        if source is None:
            return None
        for begin in self._index(source).begins("id", id):
            found = _record(source, begin, record_type)
            if found and getattr(found[1], "id", None) == id:
                return found[1]
        return None

    def _source(self, part: str, file: str) -> Source | None:
        return next((one for one in sources(self.run, part) if one.path.name == file), None)

    def _index(self, source: Source) -> Index:
        index = self._indexes.of(source)
        if (share := index.share()) < 1:
            self.unknown[f"{source.part}/{source.name}"] = share
        return index


def lineage(
    run: Path, indexes: Indexes, part: str, prompt_id: str, prompt: str, pair_begin: int | None = None
) -> Lineage:
    """What became of a prompt in the round that made the model `part`; its pair is the one that begins there, else the first."""
    reader = Reader(run, indexes)
    found = Lineage(part, prompt_id, prompt)
    for _, one in reader.about(part, store.PROMPTS_FILE, Prompt, prompt_id):
        found.source = one.source
    for _, attempt in reader.about(part, store.ATTEMPTS_FILE, Attempt, prompt_id):
        found.attempt = found.attempt or attempt
    if found.attempt:
        found.examples = [_shown(reader, part, id) for id in found.attempt.examples]
    pairs = reader.about(part, store.PAIRS_FILE, Pair, prompt_id)
    found.num_pairs = len(pairs)
    for begin, pair in pairs:
        if found.pair is None or begin == pair_begin:
            found.pair, found.pair_begin = pair, begin
    judged = {one.response_id: one for _, one in reader.about(part, store.JUDGEMENTS_FILE, Judgement, prompt_id)}
    roles: dict[str, Role] = {}
    if found.pair:
        roles = {found.pair.chosen_id: "chosen", found.pair.rejected_id: "rejected"}
    for source in sources(run, part):
        if source.name.partition("-")[0] == Path(store.RESPONSES_FILE).stem:
            for _, line in reader.about(part, source.path.name, Responses, prompt_id):
                found.answers += [Answer(one, judged.get(one.id), roles.get(one.id)) for one in line.samples]
    folder = run / part
    found.why = why(found, (folder / store.LESSON_FILE).exists())
    found.lesson = _lesson(folder / store.LESSON_FILE)
    found.is_taught = (folder / store.MODEL_FOLDER).is_dir()
    found.unknown = reader.unknown
    return found


def why(found: Lineage, is_over: bool) -> list[str]:
    """Why a pair was chosen as it was, or why there is none, in sentences; from the scores alone, whatever the strategy."""
    scores = {one.response.id: one.judgement.score for one in found.answers if one.judgement}
    read = sorted((score for score in scores.values() if score is not None), reverse=True)
    sentences = []
    if found.pair:
        pair = found.pair
        ends = (("chosen", pair.chosen_id, pair.chosen_score), ("rejected", pair.rejected_id, pair.rejected_score))
        for role, id, given in ends:
            score = scores.get(id)
            if score is not None:
                own = "" if score == given else f" The strategy gave it {given:.2f}."
                sentences.append(f"{role.capitalize()}: {_standing(score, read, role)}{own}")
    elif len(read) < 2:
        if found.answers:
            sentences.append(f"No pair: {len(read)} of {len(found.answers)} responses have a score, a pair needs two.")
    elif read[0] == read[-1]:
        sentences.append(f"No pair: all {len(read)} scores are {read[0]:.2f}, which tells nothing apart.")
    elif is_over:
        sentences.append(
            f"No pair: the scores go from {read[-1]:.2f} to {read[0]:.2f}, so the best and the worst say the same, differ by "
            "less than the least margin, or the strategy of this run makes no pairs."
        )
    unscored = sum(score is None for score in scores.values())
    if unscored:
        sentences.append(f"{unscored} responses have no score: too few of their votes could be read.")
    return sentences


def _standing(score: float, read: list[float], role: str) -> str:
    """Where a score stands among the others."""
    end, extreme = ("highest", read[0]) if role == "chosen" else ("lowest", read[-1])
    if score != extreme:
        return f"its score, {score:.2f}, is number {read.index(score) + 1} of {len(read)}."
    alike = read.count(score)
    tied = f"; {alike} share it, and a hash of their ids decided" if alike > 1 else ""
    return f"its score, {score:.2f}, is the {end} of {len(read)}{tied}."


def _shown(reader: Reader, part: str, id: str) -> tuple[str, str]:
    """A prompt that a writer was shown: of the IFT seed, or of this round or one before."""
    if example := reader.by_id(store.SEED_FOLDER, store.IFT_FILE, Example, id):
        return example.prompt, "ift"
    for k in range(place(part), 1, -1):
        if prompt := reader.by_id(store.model_name(k), store.PROMPTS_FILE, Prompt, id):
            return prompt.text, prompt.source
    return f"(not found: {id})", ""


def _record(source: Source, begin: int, record_type: type[R]) -> tuple[int, R] | None:
    """The record of the line that begins there; None where it cannot be read."""
    for line in lines_from(source.path, begin, 1):
        try:
            return begin, read_record(record_type, line.data)
        except ValueError:
            return None
    return None


def _lesson(path: Path) -> str:
    """A lesson in a sentence; nothing where there is none, or a damaged one."""
    try:
        lesson = store.read_json(path)
    except BadInput:
        return ""
    taught = [
        f"{num:,} {what}"
        for what in ("pairs", "examples", "prompts")
        if isinstance(num := lesson.get(f"num_{what}"), int) and num
    ]
    models = {
        role: store.model_name(k).upper() for role in ("start", "reference") if isinstance(k := lesson.get(role), int)
    }
    method = str(lesson.get("method", "")).upper() or "A lesson"
    said = f"{method} of {' and '.join(taught) or 'nothing'} to {models.get('start', 'a model')}"
    return f"{said}, with {models['reference']} as the reference." if "reference" in models else f"{said}."
