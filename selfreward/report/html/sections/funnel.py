"""What each round made and kept: from attempts at a prompt to pairs, with the reasons for what was left out."""

from collections.abc import Mapping

from selfreward import store
from selfreward.report.html.blocks import Block, Figure, Row, Section, Table, Text
from selfreward.report.html.plots import Bar, Part, bars
from selfreward.report.html.run import Run
from selfreward.report.html.words import REASONS, counted, listed, model, number, reason

_LEAD = (
    "A round begins with attempts at new prompts and ends with what the next model is taught. At every step "
    "something is left out; nothing is left out without being counted here."
)

Counts = Mapping[str, float]
Step = tuple[str, float, float]  # what, kept, left out; in prompts


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
    is_over = (run.path / name / store.COUNTS_FILE).is_file()
    steps = _steps(counts) if is_over else _steps_so_far(lines, run.recipe.responses.num_samples)
    whole = max((kept + lost for _, kept, lost in steps), default=1)
    drawn = [
        Bar(label, [Part("kept", kept, "win"), Part("left out", lost, "lose")] if lost else [Part("kept", kept, "win")])
        for label, kept, lost in steps
    ]
    legend = [("win", "kept"), ("lose", "left out")]
    plot = bars("From prompts to a lesson", drawn, whole, "prompts", legend)
    rows = [[_count_name(key), number(value)] for key, value in counts.items()]
    rows += [[f"lines of {file}", number(value)] for file, value in lines.items()]
    caption = (
        " ".join(_reasons(counts)) if is_over else "The round is not finished, so its reasons are not counted yet."
    )
    return Figure(f"Round to {model(name)}", [plot], caption, Table("All that was counted", ("what", "how many"), rows))


def _steps_so_far(lines: Counts, num_samples: int) -> list[Step]:
    """The steps of a round that is not finished, by the lines of its files."""
    named = (
        (store.ATTEMPTS_FILE, "attempts at a prompt", 1),
        (store.PROMPTS_FILE, "prompts kept", 1),
        (store.RESPONSES_FILE, "prompts with responses", 1),
        (store.JUDGEMENTS_FILE, "judgements", num_samples),
        (store.PAIRS_FILE, "pairs", 1),
    )
    return [(f"{number(lines[file])} {what}", lines[file] / each, 0.0) for file, what, each in named if file in lines]


def _steps(counts: Counts) -> list[Step]:
    """The steps of a finished round; strategies leave out those that they have no use for."""
    fates, votes, pairs = (_part(counts, name) for name in ("prompts", "votes", "pairs"))
    responses, new = counts.get("responses/responses", 0), counts.get("examples/new")
    prompts = fates.get("accepted") or pairs.get("prompts") or 0
    steps: list[Step] = []
    if written := sum(fates.values()):
        steps.append((f"{number(prompts)} of {number(written)} attempts became prompts", prompts, written - prompts))
    if responses and prompts:
        steps.append((f"{number(responses)} responses, {responses / prompts:.3g} to each prompt", prompts, 0))
    if votes:
        unscored = counts.get("judgements/unscored", 0)
        lost = prompts * unscored / (counts.get("judgements/judgements") or 1)
        said = f"{number(votes.get('read', 0))} of {number(sum(votes.values()))} votes read"
        steps.append((f"{said}, {counted(unscored, 'response')} unscored", prompts - lost, lost))
    if pairs:
        made, asked = pairs.get("pairs", 0), pairs.get("prompts", 0)
        steps.append((f"{number(made)} pairs of {number(asked)} prompts", made, max(0, asked - made)))
    if new is not None:
        share = min(1.0, new / responses) if responses else 0
        steps.append((f"{number(new)} new examples to imitate", prompts * share, prompts * (1 - share)))
    return steps


def _part(counts: Counts, prefix: str) -> dict[str, float]:
    """The counts of one stage."""
    return {key.partition("/")[2]: value for key, value in counts.items() if key.startswith(f"{prefix}/")}


def _reasons(counts: Counts) -> list[str]:
    """A sentence for each step that left something out."""
    sentences = []
    steps = (("prompts", "Attempts left out"), ("votes", "Votes not read"), ("pairs", "Prompts without a pair"))
    for part, said in steps:
        lost = {k: v for k, v in _part(counts, part).items() if v and k in REASONS}
        if lost:
            ordered = sorted(lost.items(), key=lambda item: -item[1])
            sentences.append(f"{said}: {', '.join(f'{reason(key)} {number(value)}' for key, value in ordered)}.")
    if unfinished := counts.get("responses/unfinished"):
        sentences.append(f"{number(unfinished)} responses were cut off at the limit of tokens.")
    if too_long := counts.get("training/too_long"):
        sentences.append(f"{number(too_long)} examples were too long to be trained on.")
    if malformed := counts.get("own_prompts/malformed"):
        sentences.append(f"{number(malformed)} of the prompts are no proper instructions of the micro-world.")
    return sentences or ["Nothing was left out."]


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
