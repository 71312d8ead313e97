"""Bytes against what was recorded of them: the manifest, the weights of M0, and whether models can be loaded at all."""

from collections.abc import Iterator
from pathlib import Path

from selfreward import store
from selfreward.errors import BadInput
from selfreward.judges.grounded import passages_in
from selfreward.models import check_model_folder, is_hub_name, resolve_model
from selfreward.recipe import Recipe
from selfreward.stamp import file_hash, weight_hashes

GROWING = (store.METRICS_FILE,)  # added to by every launch: what is recorded is its beginning
# Of the process that runs; made from the rest; a person's, who may add to it at any time.
NEVER_COVERED = (store.LOCK_FILE, store.REPORT_FILE, store.MANIFEST_FILE, store.LABELS_FILE)


def check_manifest(run: Path) -> tuple[int, int, list[str]]:
    """Files and bytes that were compared, and what differs."""
    path = run / store.MANIFEST_FILE
    try:
        sealed = store.read_manifest(run)
    except BadInput as error:
        return 0, 0, [str(error)]
    if not path.exists():
        return 0, 0, [f"{path}: there is none, so no content can be compared; `selfreward run {run}` makes it"]
    problems = []
    if path.read_text(errors="replace") != store.json_text({name: one.model_dump() for name, one in sealed.items()}):
        problems.append(f"{path}: was changed by something other than a run")
    for name, was in sealed.items():
        if wrong := _difference(run / name, was, name in GROWING):
            problems.append(f"{run / name}: {wrong}")
    return len(sealed), sum(was.bytes for was in sealed.values()), problems


def _difference(path: Path, was: store.Sealed, may_grow: bool) -> str | None:
    """What is different about a file since it was recorded; None where nothing is."""
    try:
        size = path.stat().st_size
        if size < was.bytes or (size > was.bytes and not may_grow):
            return f"has {size} bytes and had {was.bytes} when it was finished"
        if file_hash(path, was.bytes) != was.sha256:
            return "its content is not what it was when it was finished"
    except FileNotFoundError:
        return "is gone; a run makes it again"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def not_covered(run: Path) -> list[str]:
    """Files of which the manifest says nothing, from the run's folder: of a stage or a launch that did not end well, or strange."""
    try:
        sealed = store.read_manifest(run)
    except BadInput:
        sealed = {}
    names = (str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    return sorted(name for name in names if name not in sealed and name not in NEVER_COVERED)


def check_models(run: Path, recipe: Recipe) -> Iterator[str]:
    """Models that a loader would refuse, and those whose predecessor is not there."""
    rewarding = run / store.REWARD_MODEL_FOLDER / store.MODEL_FOLDER
    if rewarding.exists():
        try:
            check_model_folder(rewarding)
        except BadInput as error:
            yield str(error)
    missing = None
    for name in (store.model_name(k) for k in (-1, *range(1, recipe.rounds + 2))):
        model = run / name / store.MODEL_FOLDER
        if not model.exists():
            missing = missing or name
            continue
        if missing:
            yield f"{model}: is there, and {missing}, which comes before it, is not"
        try:
            check_model_folder(model)
        except BadInput as error:
            yield str(error)


def check_base(run: Path, recipe: Recipe) -> Iterator[tuple[bool, str]]:
    """(whether it is a fault, a sentence) about the stamp, and about M0 against its hashes there."""
    path = run / store.STAMP_FILE
    try:
        stamp = store.read_json(path)
        weights = dict(stamp["weights"])
    except BadInput as error:
        yield True, str(error)
        return
    except (KeyError, TypeError, ValueError):
        yield True, f"{path}: does not say what the weights of M0 were"
        return
    if is_hub_name(recipe.model):
        yield False, f"M0 is {recipe.model} on the hub: its weights were not looked at"
        return
    try:
        found = weight_hashes(resolve_model(recipe.model))
    except BadInput as error:
        yield False, f"M0 cannot be compared with the stamp: {error}"
        return
    if found != weights:
        yield True, f"{recipe.model}: is not the M0 that the run was started from, by the hashes in {path}"


def check_databases(run: Path) -> Iterator[tuple[bool, str]]:
    """(whether it is a fault, a sentence) about the databases of grounded judges against what they were when the run began."""
    path = run / store.DATABASES_FILE
    try:
        held = store.read_json(path) if path.exists() else {}
    except BadInput as error:
        yield True, str(error)
        return
    for database, passages in held.items():
        try:
            if passages_in(database) != passages:
                yield True, f"{database}: does not hold the passages that the judge was shown, by {path}"
        except BadInput as error:
            yield False, f"a database of the judge cannot be compared with {path}: {error}"
