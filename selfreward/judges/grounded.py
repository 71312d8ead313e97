"""The grounded judge: LLM-as-a-Judge that is shown what a database says of the instruction and of the response's claims.

The authors of Self-Rewarding Language Models (arXiv 2401.10020) name judges that verify an answer, as by looking facts
up, as what should come next. Only the evidence is added: the model still judges, and its words alone are read.
"""

from collections.abc import Sequence
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
from selfreward.store import DATABASE_FILE, read_json, write_json
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


def looked_up_in(settings: Judge) -> dict[str, str | int | None]:
    """What the evidence of a grounded judge depends on, but for the response: its database and how much is shown."""
    assert settings.database is not None, "a recipe with a grounded judge names its database"
    with closing(open_database(settings.database)) as database:
        return {"database": settings.database, "passages_sha256": database.digest, "passages": settings.passages}


def hold_database(settings: Judge, run: Path) -> None:
    """Keeps what a run's evidence depends on in its database.json; BadInput where the run began with another database."""
    path = run / DATABASE_FILE
    if settings.name == GROUNDED and not path.exists():
        write_json(path, looked_up_in(settings))
    elif settings.name == GROUNDED and read_json(path) != looked_up_in(settings):
        what = f"holds other passages than when this run began ({path})"
        raise BadInput(what, settings.database, "bring the old ones back, or begin another run with --to")


def check_evidence(settings: Judge) -> None:
    """BadInput where a judge would be shown no evidence that is looked up, or looks none up that its template shows."""
    shows = shows_evidence(settings.template)
    if settings.name == GROUNDED:
        if not shows:
            what = f"the template {settings.template} does not show what the judge looks up"
            raise BadInput(what, "judge.template", "take grounded, or show {{ evidence }} in yours")
        looked_up_in(settings)
    elif shows and settings.name == "llm":
        what = f"the template {settings.template} shows evidence, and nothing looks any up"
        raise BadInput(what, "judge.template", "set judge.name=grounded and judge.database, or take another template")
