"""What each round made and kept: from attempts at a prompt to pairs, with the reasons for what was left out."""

from collections.abc import Mapping

from selfreward import store
from selfreward.report.html.blocks import Block, Figure, Row, Section, Table, Text
from selfreward.report.html.plots import Bar, Part, bars
from selfreward.report.html.run import Run
from selfreward.report.html.words import counted, listed, model, number, reason

_LEAD = (
    "A round begins with attempts at new prompts and ends with what the next model is taught. At every step something is left out; "
    "nothing is left out without being counted here."
)
_NOT_LOST = {"accepted", "prompts", "pairs", "tied_best", "tied_worst", "unscored_responses"}

Counts = Mapping[str, float]


def funnel(run: Run) -> Section:
    """The sixth section."""
    made = {name: (_part_of(run, "counts", name), _part_of(run, "lines", name)) for name in run.rounds}
    figures = [_round(run, name, *found) for name, found in made.items() if any(found)]
    blocks: list[Block] = [Row(figures)] if figures else []
    idle = [model(name) for name, found in made.items() if not any(found)]
    if idle:
        blocks.append(Text(f"Nothing has been made yet in the round to {listed(idle)}.", "missing"))
    if not made:
        blocks.append(Text("No round has begun yet.", "missing"))
    if seeds := run.tables["seeds"]:
        blocks.append(_seeds(seeds))
    return Section("funnel", "What each round made and kept", _LEAD, blocks)


def _part_of(run: Run, table: str, name: str) -> Counts:
    found: Counts = run.tables[table].get(name, {})
    return found


def _round(run: Run, name: str, counts: Counts, lines: Counts) -> Figure:
    steps = _steps(run, counts, lines)
    whole = max((kept + lost for _, kept, lost in steps), default=1)
    drawn = [
        Bar(label, [Part("kept", kept, "win"), Part("left out", lost, "lose")] if lost else [Part("kept", kept, "win")])
        for label, kept, lost in steps
    ]
    legend = [("win", "kept"), ("lose", "left out")]
    plot = bars("From attempts to a lesson", drawn, whole, "prompts", legend)
    rows = [[_count_name(key), number(value)] for key, value in counts.items()]
    rows = rows or [[file, number(value)] for file, value in lines.items()]
    caption = " ".join(_reasons(counts)) or "The round is not finished, so its reasons are not counted yet."
    return Figure(f"Round to {model(name)}", [plot], caption, Table("All that was counted", ("what", "how many"), rows))


def _steps(run: Run, counts: Counts, lines: Counts) -> list[tuple[str, float, float]]:
    """(what, kept, left out) of each step in prompts; of a round that is not finished by the lines of its files."""
    if not counts:
        names = (
            (store.ATTEMPTS_FILE, "attempts at a prompt"),
            (store.PROMPTS_FILE, "prompts kept"),
            (store.RESPONSES_FILE, "prompts with responses"),
            (store.PAIRS_FILE, "pairs"),
        )
        found = [(f"{number(lines[file])} {what}", lines[file], 0.0) for file, what in names if file in lines]
        if judged := lines.get(store.JUDGEMENTS_FILE):
            prompts = judged / run.recipe.responses.num_samples
            found.insert(len(found) - (store.PAIRS_FILE in lines), (f"{number(judged)} judgements", prompts, 0.0))
        return found
    fates = _part(counts, "prompts")
    written, kept = sum(fates.values()), fates.get("accepted", 0)
    steps: list[tuple[str, float, float]] = []
    if written:
        steps.append((f"{number(kept)} of {number(written)} attempts became prompts", kept, written - kept))
    if responses := counts.get("responses/responses"):
        each = responses / kept if kept else 0
        steps.append((f"{number(responses)} responses, {each:.3g} to each prompt", kept, 0))
    votes = _part(counts, "votes")
    if votes:
        read = votes.get("read", 0)
        unscored = counts.get("judgements/unscored", 0)
        lost = kept * unscored / responses if responses else 0
        said = f"{number(read)} of {number(sum(votes.values()))} votes read, {counted(unscored, 'response')} unscored"
        steps.append((said, kept - lost, lost))
    pairs = _part(counts, "pairs")
    if pairs:
        made, asked = pairs.get("pairs", 0), pairs.get("prompts", 0)
        steps.append((f"{number(made)} of {number(asked)} prompts gave a pair", made, asked - made))
    if "examples/new" in counts:
        each = counts["examples/new"] / responses if responses else 0
        steps.append((f"{number(counts['examples/new'])} perfect responses to imitate", kept * each, kept * (1 - each)))
    return steps


def _part(counts: Counts, prefix: str) -> dict[str, float]:
    """The counts of one stage."""
    return {key.partition("/")[2]: value for key, value in counts.items() if key.startswith(f"{prefix}/")}


def _reasons(counts: Counts) -> list[str]:
    """A sentence for each step that left something out."""
    sentences = []
    steps = (("prompts", "Attempts left out"), ("votes", "Votes not read"), ("pairs", "Prompts without a pair"))
    for part, said in steps:
        lost = {k: v for k, v in _part(counts, part).items() if v and k not in _NOT_LOST and k != "read"}
        if lost:
            ordered = sorted(lost.items(), key=lambda item: -item[1])
            sentences.append(f"{said}: {', '.join(f'{reason(key)} {number(value)}' for key, value in ordered)}.")
    if unfinished := counts.get("responses/unfinished"):
        sentences.append(f"{number(unfinished)} responses were cut off at the limit of tokens.")
    if too_long := counts.get("training/too_long"):
        sentences.append(f"{number(too_long)} examples were too long to be trained on.")
    if malformed := counts.get("own_prompts/malformed"):
        sentences.append(f"{number(malformed)} of the prompts are no proper instructions of the micro-world.")
    return sentences or (["Nothing was left out."] if counts else [])


def _count_name(key: str) -> str:
    part, _, name = key.partition("/")
    return f"{part.replace('_', ' ')}: {reason(name) if name else ''}".removesuffix(": ")


def _seeds(seeds: Mapping[str, Counts]) -> Table:
    rows = [
        [f"{part}: {name.replace('_', ' ').replace('/', ': ')}", number(value)]
        for part, counts in seeds.items()
        for name, value in counts.items()
    ]
    return Table("Seeds: what was read, left out and used", ("part", "how many"), rows)
