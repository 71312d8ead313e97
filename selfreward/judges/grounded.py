"""The grounded judge: LLM-as-a-Judge that is shown what a database says of the instruction and of the response's claims.

The authors of Self-Rewarding Language Models (arXiv 2401.10020) name judges that verify an answer, as by looking facts
up, as what should come next. Only the evidence is added: the model still judges, and its words alone are read.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from selfreward.databases import open_database
from selfreward.engines.base import Engine
from selfreward.errors import BadInput
from selfreward.judges import llm
from selfreward.judges.evidence import look_up
from selfreward.recipe import Judge
from selfreward.recipe.round import GROUNDED
from selfreward.records import Judgement, Response
from selfreward.store import DATABASES_FILE, read_json, write_json
from selfreward.templates import shows_evidence


def judge(
    engine: Engine, responses: Sequence[Response], settings: Judge, judge_name: str, seed: int
) -> list[Judgement]:
    """As `llm.judge`; each judgement holds the evidence that its judge was shown.

    BadInput where the database cannot be opened, StageFailed where it gives up.
    """
    assert settings.database is not None, "a recipe with a grounded judge names its database"
    with closing(open_database(settings.database)) as database:
        evidence = look_up(database, responses, settings.passages)
    return llm.judge(engine, responses, settings, judge_name, seed, evidence)


def passages_in(database: str) -> str | None:
    """SHA-256 of a database's passages; None where it is a server. BadInput where it cannot be opened."""
    with closing(open_database(database)) as found:
        return found.digest


def databases_of(judges: Iterable[Judge]) -> dict[str, str | None]:
    """What the evidence of grounded judges depends on: their databases, each with `passages_in` it."""
    named = dict.fromkeys(one.database for one in judges if one.name == GROUNDED and one.database)
    return {database: passages_in(database) for database in named}


def hold_databases(judges: Iterable[Judge], run: Path) -> None:
    """Keeps the databases of a run in its databases.json; BadInput where one has changed since the run began."""
    found, path = databases_of(judges), run / DATABASES_FILE
    held = read_json(path) if path.exists() else found
    for database, passages in found.items():
        if held.get(database) != passages:
            todo = "bring the old ones back, or begin another run with --to"
            raise BadInput(f"holds other passages than when this run began ({path})", database, todo)
    if found and not path.exists():
        write_json(path, found)


def check_evidence(settings: Judge) -> None:
    """As `check_shown`, and BadInput where a grounded judge's database cannot be opened."""
    check_shown(settings)
    databases_of([settings])


def check_shown(settings: Judge) -> None:
    """BadInput where a judge's template would not show what is looked up, or shows evidence where nothing is."""
    shows = shows_evidence(settings.template)
    if settings.name == GROUNDED and not shows:
        what = f"the template {settings.template} does not show what the judge looks up"
        raise BadInput(what, "judge.template", "take grounded, or show {{ evidence }} in yours")
    if settings.own_name != GROUNDED and shows:
        what = f"the template {settings.template} shows evidence, and nothing looks any up"
        raise BadInput(what, "judge.template", "set judge.name=grounded and judge.database, or take another template")
