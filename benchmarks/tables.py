"""Makes every table and picture of the documents from benchmarks/results/*.json.

    python benchmarks/tables.py [--check]

A table stands between two marks, `<!-- table: NAME -->` and `<!-- end -->`; one whose results are not there yet says so. With
--check nothing is written, and the exit code is 1 where a document is not what the results give.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from selfreward.store import read_json

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
DOCUMENTS = (
    "README.md", "docs/judges-grounded.md", "docs/micro-world.md", "docs/models.md", "docs/notebook.md", "docs/plan.md",
    "docs/reliability.md", "docs/servers.md", "docs/strategies.md", "docs/training.md", "docs/viewer.md",
    "selfreward/micro/m0/README.md",
)  # fmt: skip
NAMES = {"sft": "SFT", "m1": "M1", "m2": "M2", "m3": "M3", "m4": "M4", "m5": "M5"}
VARIANTS = {
    "self": "self-rewarding",
    "oracle_judge": "oracle as the judge",
    "random_judge": "random judge",
    "no_eft": "without EFT",
    "positives_only": "positives only",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def number(found: dict[str, Any] | None, decimals: int = 2, scale: float = 1.0, key: str = "mean") -> str:
    """`mean [low, high]`, or a dash."""
    if not found or found.get(key) is None:
        return "-"
    text = f"{scale * found[key]:.{decimals}f}"
    if found.get("ci95"):
        low, high = found["ci95"]
        text += f" [{scale * low:.{decimals}f}, {scale * high:.{decimals}f}]"
    return text


def _effect() -> dict[str, Any]:
    return dict(read_json(RESULTS / "micro_effect.json"))


def _variants(effect: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, title in VARIANTS.items():
        if name == "self" or name in effect:
            yield title, effect if name == "self" else effect[name]


def effect() -> str:
    found = _effect()
    rows = []
    for m in found["scores"]:
        games = found.get(f"{m}_vs_sft") or found.get("saturation", {}).get(f"{m}_vs_sft")
        against = f"{games['win']:.0f} / {games['tie']:.0f} / {games['lose']:.0f}" if games else "-"
        rows.append(
            [
                NAMES[m], number(found["scores"][m]), number(found["perfect"][m], 1, 100), against,
                number(games, 1, key="net"), number(found["judge_pairwise"].get(m), 1, 100),
            ]
        )  # fmt: skip
    header = ["model", "oracle score, 0..5", "perfect %", "win / tie / lose v SFT %", "net v SFT", "judge: pairwise %"]
    return table(header, rows)


def steps() -> str:
    found = _effect()
    rows = []
    for title, v in _variants(found):
        differences = [number(v.get(key)) for key in ("m2_minus_m1", "m3_minus_m2")]
        rows.append([title, str(len(v["seeds"])), *differences, number(v.get("m3_vs_sft"), 1, key="net")])
    return table(["", "run seeds", "M2 - M1, points", "M3 - M2, points", "M3 v SFT, net %"], rows)


def judges() -> str:
    found = _effect()
    rows = []
    for truth, key in (("oracle", "judge_pairwise"), ("people", "judge_pairwise_human")):
        rows.append([truth, *(number(value, 1, 100) for value in found[key].values())])
    return table(["ranked by", *(NAMES[m] for m in found["judge_pairwise"])], rows)


def _groups(key: str, first: str) -> str:
    effect = _effect()
    found = {**effect.get("saturation", {}).get(key, {}), **effect[key]}
    models = [m for m in NAMES if m in found]
    groups = list(found[models[0]])
    rows = [[group, *(f"{found[m][group]:.2f}" if group in found[m] else "-" for m in models)] for group in groups]
    return table([first, *(NAMES[m] for m in models)], rows)


def quickstart() -> str:
    found = read_json(RESULTS / "quickstart.json")
    stages = sorted(found["stages_s"].items(), key=lambda item: -item[1])
    rows = [["`selfreward run micro`, all", f"{found['wall_s']:.0f}"]]
    rows += [[f"of which {name}", f"{seconds:.0f}"] for name, seconds in stages[:12]]
    rows += [["of which all others", f"{sum(seconds for _, seconds in stages[12:]):.0f}"]]
    rows += [["`selfreward run micro-fast`, all", f"{found['micro_fast_s']:.0f}"]]
    return table(["", "seconds"], rows)


def engine() -> str:
    found = read_json(RESULTS / "local_engine.json")
    rows = [
        ["judging, 3 votes on each response, ends heeded", f"{found['judging_ratio']:.2f}"],
        ["judging, 200-token prompts, exactly 40 tokens a vote", f"{found['long_judging_ratio']:.2f}"],
        ["sampling, 4 responses of varying length to each prompt", f"{found['sampling_ratio']:.2f}"],
        ["greedy tokens equal", "yes" if found["greedy_tokens_equal"] else "NO"],
    ]
    return table(["work", "times as fast as `transformers.generate`"], rows)


def learning_curve() -> str:
    rows = [
        [
            f"{row['tokens'] / 1e6:.1f}", f"{row['loss']:.3f}", f"{row['score']:.2f}", f"{row['greedy_score']:.2f}",
            *(f"{row['by_family'].get(name, float('nan')):.2f}" for name in ("sentence", "list", "order", "fact")),
            f"{100 * row['facts_known']:.0f}", f"{100 * row['judge_pairwise']:.1f}",
            *(f"{100 * row['faults_seen'][point]:.0f}" if point in row["faults_seen"] else "-" for point in ("content", "form")),
        ]
        for row in read_json(RESULTS / "learning_curve.json")["rows"]
    ]  # fmt: skip
    header = [
        "M tokens",
        "loss",
        "score",
        "greedy",
        "sentence",
        "list",
        "order",
        "fact",
        "facts known %",
        "judge: pairwise %",
        "wrong content seen %",
        "bad form seen %",
    ]
    return table(header, rows)


def plan() -> str:
    found = read_json(RESULTS / "plan.json")
    rows = []
    for row in [*found["stages"], {"stage": "all", **found["total"]}]:
        seconds = row["seconds"]
        ratios = [row[f"{kind}_tokens"]["ratio"] for kind in ("read", "written", "trained")]
        rows.append(
            [
                row["stage"], f"{seconds['predicted']:.1f}",
                f"{seconds['measured']:.1f}" if seconds["measured"] is not None else "-",
                *(f"{ratio:.2f}" if ratio else "-" for ratio in (seconds["ratio"], *ratios)),
            ]
        )  # fmt: skip
    header = ["stage", "predicted s", "measured s", "ratio", "tokens read", "written", "trained on"]
    return table(header, rows)


def engines() -> str:
    found = read_json(RESULTS / "engines.json")
    rows = []
    for name, row in found["engines"].items():
        beyond = [1000 * row["overhead_s_per_item"][stage] if row["overhead_s_per_item"] else None for stage in ITEMS]
        each = [f"{1000 * row['s_per_item'][stage]:.1f}" for stage in ITEMS]
        more = [f" ({value:+.1f})" if value is not None and name != "local" else "" for value in beyond]
        cells = [ms + extra for ms, extra in zip(each, more, strict=True)]
        rows.append([name, f"{row['open_s']:.1f}", f"{row['round_s']:.1f}", *cells])
    said = f"The server: {found['server']}.\n\n" if found["server"] else ""
    return said + table(["engine", "opened in s", "round, s", *(f"ms {item}" for item in ITEMS.values())], rows)


def gpu() -> str:
    found = read_json(RESULTS / "gpu.json")
    rows = []
    for title, rates, ratio in (
        ("decoding, tokens per second", found["decode_tokens_per_s"], found["decode_ratio"]),
        ("judgements per second", found["judgements_per_s"], found["judging_ratio"]),
    ):
        rows.append([title, f"{rates['local_engine']:.4g}", f"{rates['transformers']:.4g}", f"{ratio:.2f}"])
    mfu = f"MFU {100 * found['sft_mfu']:.0f}% in SFT and {100 * found['dpo_mfu']:.0f}% in DPO"
    size = f"{found['model_parameters'] / 1e9:.2f} billion parameters on {found['device']}"
    said = f"{size}: {mfu}, {found['peak_bytes'] / 2**30:.1f} GiB of memory at most."
    return f"{said}\n\n" + table(["", "the local engine", "`transformers.generate`", "ratio"], rows)


def expected_score() -> str:
    found = read_json(RESULTS / "expected_score.json")
    titles = {
        "reference": f"the mean of {found['reference_votes']} votes", "votes": f"the mean of {found['votes']} votes",
        "expected": f"{found['votes']} votes, expected", "expected, one": "one vote, expected",
        "direct": "direct: no justification",
    }  # fmt: skip
    rows = []
    for name, row in found["rows"].items():
        correlations = [number(row, key=key) for key in ("pearson", "distance_points")]
        right = number(row["pairwise_accuracy"], 1, 100, "value")
        rows.append([titles[name], *correlations, number(row, 1, 100, "tied_pairs"), right, f"{row['seconds']:.1f}"])
    both = found["votes_beside_expected"]
    said = f"Votes and expected scores of the same justifications: Pearson {number(both, key='pearson')}, "
    said += f"{number(both, key='distance_points')} points apart on average, over {found['responses']} responses."
    header = ["points are", "Pearson with the first", "distance, points", "tied pairs %", "pairwise right %", "seconds"]
    return f"{said}\n\n" + table(header, rows)


def crash() -> str:
    found = read_json(RESULTS / "crash.json")
    runs = found["runs"]
    rows = [
        ["SIGKILL", f"{found['kills']}, of {runs} runs", f"{found['equal']}, in {found['equal_runs']} of {runs} runs"],
        *([name, "yes" if row["as_promised"] else "NO", "yes" if row["equal"] else "NO"]
          for name, row in found["faults"].items()),
    ]  # fmt: skip
    said = (
        f"Made twice: {found['made_twice']}. Made again after a kill: {found['made_again_at_most']} requests at most."
    )
    return f"{said}\n\n" + table(["", "times, or said what it should", "ended in the same files"], rows)


def flaky_server() -> str:
    found = read_json(RESULTS / "flaky_server.json")
    faults = ", ".join(f"{name} {num}" for name, num in found["faults"].items())
    rows = [[str(found[name]) for name in ("judgements", "calls", "retries", "lost", "wrong", "twice")]]
    counted = table(["judgements", "calls", "of which again", "lost", "wrong", "there twice"], rows)
    return f"Faults given: {faults}.\n\n{counted}"


def store_scale() -> str:
    rows = [
        [
            f"{int(num):,}", f"{1e6 * row['s_per_item']:.0f}", f"{row['peak_rss_bytes'] / 2**20:.0f}",
            f"{row['file_bytes'] / 2**20:.0f}", f"{row['resume_scan_s']:.1f}",
        ]
        for num, row in read_json(RESULTS / "store_scale.json")["sizes"].items()
    ]  # fmt: skip
    header = ["responses", "us a response", "MiB of memory at most", "MiB of files", "s to go through them again"]
    return table(header, rows)


def grounded() -> str:
    found = read_json(RESULTS / "grounded.json")
    ways = ("ungrounded", "grounded", "difference")
    judges = [
        [NAMES[name[:2]] + name[2:], *(number(row[kind][way], 1, 100) for kind in ("facts", "truth") for way in ways)]
        for name, row in found["judges"].items()
    ]
    header = ["judge", *(f"{kind}: {way}" for kind in ("answers of people", "true or not") for way in ways)]
    runs, trained = ("plain", "grounded", "difference"), found["trained"]
    models = [
        [
            NAMES[model], *(number(trained["fact"][model][run]) for run in runs),
            *(number(trained["facts_true"][model][run], 1, 100) for run in runs),
            number(trained["score"][model]["difference"]),
        ]
        for model in trained["fact"]
    ]  # fmt: skip
    titles = ("`micro`", "`micro-grounded`", "difference")
    columns = [*(f"facts, 0..5: {title}" for title in titles), *(f"facts true %: {title}" for title in titles)]
    indexes = [
        [
            name, f"{row['passages']:,}", f"{row['index_s']:.0f}", f"{row['peak_rss_bytes'] / 2**20:.0f}",
            f"{row['text_bytes'] / 2**20:.0f}", f"{row['database_bytes'] / 2**20:.0f}", f"{row['query_ms_p50']:.1f}",
            f"{row['query_ms_p95']:.1f}", f"{row['query_cpu_ms_p50']:.1f}", f"{row['query_cpu_ms_p95']:.1f}",
            f"{100 * row['found_first']:.1f}",
        ]
        for name, row in found["indexes"].items()
    ]  # fmt: skip
    sizes = ["passages", "made in s", "MiB of memory at most", "MiB of text", "MiB of database"]
    parts = [
        f"Pairwise accuracy in %, ties half, {found['num_sets']} sets of each kind for each of {len(found['seeds'])} run seeds.",
        table(header, judges),
        "What the loop teaches: the oracle's score of answers to questions of fact, the share of them that is true, and the "
        "difference over all families.",
        table(["model", *columns, "all families: difference"], models),
        "The index:",
        table(
            ["form", *sizes, "query ms, median", "95 %", "of the processor, median", "95 %", "found first %"], indexes
        ),
    ]
    return "\n\n".join(parts)


def early_stopping() -> str:
    """A row for each snapshot, M1 first: what the walks found of it, and what the oracle says."""
    found = read_json(RESULTS / "early_stopping.json")
    walks = {(walk["by"], walk["patience"]): walk for walk in found["walks"]}
    by_scores, by_health = walks["scores", 3], walks["health", 1]
    looked_at = {one["step"]: one for one in by_scores["looked_at"]}
    alarms = {one["step"]: one["alarms"] for one in by_health["looked_at"]}
    rows = []
    for row in found["oracle"]:
        step = row["step"]
        chosen = [f"{by}, patience {patience}" for (by, patience), walk in walks.items() if walk["chosen"] == step]
        rows.append(
            [
                f"{step}" if step else "0 (M1)", number(row["score"]), number(row["judge_pairwise_accuracy"], 1, 100, "value"),
                _net(looked_at.get(step, {})), "; ".join(alarms[step]) or "none" if step in alarms else "-",
                "; ".join(chosen) or "-",
            ]
        )  # fmt: skip
    header = [
        "step",
        "oracle: score",
        "oracle: judge right %",
        "net v the best so far",
        "alarms as a judge",
        "chosen by",
    ]
    return table(header, rows)


def strategies() -> str:
    """All strategies over the run seeds, the best first; controls last."""
    found = read_json(RESULTS / "strategies.json")["strategies"]
    controls = [row for row in found if row["strategy"].endswith("_judge")]
    rows = sorted((row for row in found if row not in controls), key=lambda row: -row["vs_sft"]["net"])
    return table(
        ("strategy", "run seeds", "M3 v SFT: win / tie / lose %", "net %", "M3's score, 0..5", "judge: pairwise %", "words",
         "distinct-2", "pairs right / wrong %", "tokens: sampled / judged / trained, k", "minutes"),
        [
            (
                f"`{row['strategy']}`", str(len(row["seeds"])),
                " / ".join(f"{row['vs_sft'][share]:.0f}" for share in ("win", "tie", "lose")),
                number({**row["vs_sft"], "mean": row["vs_sft"]["net"]}, 1), number(row["score"]),
                number(row["judge_pairwise"], 1, 100), f"{row['avg_length']['mean']:.1f}", f"{row['diversity']['mean']:.3f}",
                f"{100 * pairs['right']:.0f} / {100 * pairs['wrong']:.0f}" if (pairs := row["pairs_by_truth"]) else "-",
                " / ".join(f"{row['tokens'][kind] / 1000:.0f}" for kind in ("sampled", "judged", "trained")),
                f"{row['wall_s'] / 60:.1f}",
            )
            for row in [*rows, *controls]
        ],
    )  # fmt: skip


def _net(compared: dict[str, Any]) -> str:
    if "net" not in compared:
        return "-"
    low, high = compared["ci95"]
    return f"{compared['net']:.1f} [{low:.1f}, {high:.1f}] v {compared['against']}"


def viewer() -> str:
    found = read_json(RESULTS / "viewer.json")
    pages = {"runs": "the list of runs", "run": "a run", "responses": "responses", "judgements": "judgements", "pairs": "pairs",
             "pair": "a pair, its lineage"}  # fmt: skip
    first = [[f"{pages[name]}, for the first time", f"{ms:.0f}", "", ""] for name, ms in found["first_page_ms"].items()]
    rest = {"any page while the index is made": found["while_indexing_ms"]} | found["indexed_ms"]
    rows = [[name, *(f"{row[key]:.0f}" for key in ("p50", "p95", "max"))] for name, row in rest.items()]
    mib = {name: f"{found[f'{name}_bytes'] / 2**20:.0f} MiB" for name in ("run", "index", "server_peak_rss")}
    said = (
        f"{found['responses']:,} responses, {mib['run']}. The index was there after {found['index_s']:.0f} s, "
        f"with {mib['index']}; the server had {mib['server_peak_rss']} of memory at most. The machine was shared: load average "
        f"{found['load_average'][0]:.1f} on {found['hardware']['cores']} cores."
    )
    return f"{said}\n\n" + table(["a page, ms", "median", "95 %", "most"], [*first, *rows])


ITEMS = {"prompts": "an attempt", "responses": "a response", "judgements": "a vote"}  # in ms, and beyond local
TABLES: dict[str, Callable[[], str]] = {
    "effect": effect,
    "steps": steps,
    "judges": judges,
    "families": lambda: _groups("by_family", "family"),
    "complexity": lambda: _groups("by_complexity", "constraints"),
    "points": lambda: _groups("by_point", "point"),
    "quickstart": quickstart,
    "engine": engine,
    "learning_curve": learning_curve,
    "plan": plan,
    "engines": engines,
    "gpu": gpu,
    "expected_score": expected_score,
    "early_stopping": early_stopping,
    "strategies": strategies,
    "crash": crash,
    "flaky_server": flaky_server,
    "store_scale": store_scale,
    "grounded": grounded,
    "viewer": viewer,
}
NOT_YET = (
    "plan",
    "engines",
    "gpu",
    "expected_score",
    "strategies",
    "crash",
    "flaky_server",
    "store_scale",
    "grounded",
    "viewer",
)  # tables whose script may not have been run, of the script's name


def filled(text: str) -> str:
    """The document with every table made anew."""

    def one(match: re.Match[str]) -> str:
        name = match[1]
        missing = name in NOT_YET and not (RESULTS / f"{name}.json").exists()
        made = f"Not measured yet: `python benchmarks/{name}.py`." if missing else TABLES[name]()
        return f"<!-- table: {name} -->\n{made}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", one, text, flags=re.DOTALL)


def plot(path: Path) -> None:
    """Score by model for the loop and its controls, with intervals over run seeds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "selfreward"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    styles = {"self-rewarding": ("#1f6f54", "-", 2.4), "oracle as the judge": ("#8a8a8a", "--", 1.4),
              "random judge": ("#b3452c", "--", 1.4), "without EFT": ("#c9962b", ":", 1.4),
              "positives only": ("#4c6fb1", ":", 1.4)}  # fmt: skip
    for title, found in _variants(_effect()):
        models = list(found["scores"])
        means = [found["scores"][m]["mean"] for m in models]
        color, line, width = styles[title]
        places = [list(NAMES).index(m) for m in models]
        axes.plot(places, means, line, color=color, linewidth=width, marker="o", markersize=4, label=title)
        if title == "self-rewarding":
            low, high = zip(*(found["scores"][m]["ci95"] or (None, None) for m in models), strict=True)
            axes.fill_between(places, low, high, color=color, alpha=0.15)
    shown = [NAMES[m] for m in NAMES if any(m in found["scores"] for _, found in _variants(_effect()))]
    axes.set_xticks(range(len(shown)), shown)
    axes.set_ylabel("oracle score, points of 5")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = []
    for name in DOCUMENTS:
        path = REPOSITORY / name
        before = path.read_text()
        after = filled(before)
        if before != after:
            stale.append(name)
            if not options.check:
                path.write_text(after)
    if not options.check:
        plot(REPOSITORY / "docs" / "micro-effect.svg")
    if options.check and stale:
        sys.exit(f"not what the results give: {', '.join(stale)}; run python benchmarks/tables.py")


if __name__ == "__main__":
    main()
