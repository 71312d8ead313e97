"""The run folder: the names of all its files, where its models are, and how one process at a time writes into it."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from selfreward.errors import BadInput, nearest
from selfreward.models import has_chat_template, is_hub_name, link_with_template, resolve_model
from selfreward.recipe import RECIPE_FILE, Recipe, differences, load_recipe, to_yaml
from selfreward.records import digest
from selfreward.stamp import stamp, weight_hashes
from selfreward.store.files import append_row, read_json, saving, write_json, write_text, writing
from selfreward.store.manifest import forget_missing, seal
from selfreward.templates import Kind, source, template_names, text_hash
from selfreward.tracking import tracking

# In the run folder
STAMP_FILE = "stamp.json"
METRICS_FILE = "metrics.jsonl"
LOCK_FILE = "run.lock"
REPORT_FILE = "report.html"
ANALYSIS_FILE = "analysis.json"
DATABASES_FILE = "databases.json"  # in which grounded judges look things up
LABELS_FILE = "labels.jsonl"  # what a person thinks of its pairs; no run reads or writes it
LOGS_FOLDER = "logs"
BASE_FOLDER = "base"  # M0 with the chat template that the recipe names, where it has none
# In seed/
SEED_FOLDER = "seed"
IFT_FILE = "ift.jsonl"
RANKED_FILE = "ranked.jsonl"
EFT_FILE = "eft.jsonl"
EVAL_SEED_FILE = "eval.jsonl"
VALIDATION_SEED_FILE = "validation.jsonl"  # in runs that stop trainings early
# In sft/, m1/, m2/ ...
ATTEMPTS_FILE = "attempts.jsonl"
PROMPTS_FILE = "prompts.jsonl"
RESPONSES_FILE = "responses.jsonl"
JUDGEMENTS_FILE = "judgements.jsonl"
LIKELIHOODS_FILE = "likelihoods-{model}.jsonl"  # of the responses, under one model
OTHERS_RESPONSES_FILE = "responses-{model}.jsonl"  # to the prompts of the round, by another than its model
AHEAD_FOLDER = "ahead"  # a model that is trained within the round, to look ahead
PAIRS_FILE = "pairs.jsonl"
MEETINGS_FILE = "meetings.jsonl"  # of the responses to a prompt, two by two
MEMBERS_JUDGEMENTS_FILE = "judgements-{place}.jsonl"  # of a member of an ensemble
META_JUDGEMENTS_FILE = "meta_judgements.jsonl"
SELF_RANKED_FILE = "self_ranked.jsonl"  # sets that a model ranked by their making
LESSON_FILE = "lesson.json"
COUNTS_FILE = "counts.json"
EVAL_FILE = "eval.json"
EVAL_RESPONSES_FILE = "eval_responses.jsonl"
EVAL_JUDGEMENTS_FILE = "eval_judgements.jsonl"
EFT_JUDGEMENTS_FILE = "eft_judgements.jsonl"
MODEL_FOLDER = "model"
SNAPSHOTS_FOLDER = "snapshots"  # of a training that may be stopped early, until one of them is the model
VALIDATION_RESPONSES_FILE = "validation_responses.jsonl"  # the snapshots', and what was said of them
VALIDATION_JUDGEMENTS_FILE = "validation_judgements.jsonl"
VALIDATION_MEETINGS_FILE = "validation_meetings.jsonl"
EARLY_STOPPING_FILE = "early_stopping.json"
# reward_model/ has a lesson, counts, judgements, measurements and a model, too
REWARD_MODEL_FOLDER = "reward_model"

SEED_FILES = (IFT_FILE, RANKED_FILE, EVAL_SEED_FILE, VALIDATION_SEED_FILE)  # that a run begins with
EVAL_FILES = (EVAL_RESPONSES_FILE, EVAL_JUDGEMENTS_FILE, EVAL_FILE)  # the measurements of one model

EARLY_STOPPING_FILES = (
    VALIDATION_RESPONSES_FILE, VALIDATION_JUDGEMENTS_FILE, VALIDATION_MEETINGS_FILE, EARLY_STOPPING_FILE
)  # fmt: skip

# Nothing but rounding depends on these, so a run may go on with other values: smaller batches after running out of memory, a
# server that was moved, a slower pace, better guesses for the plan.
FREE_TO_CHANGE = (
    "plan.",
    "training.device_batch:",
    "training.launcher:",
    "training.config:",
    "guards.",
    "tracking:",
    *(
        f"{engine}.{name}:"
        for engine in ("engine", "judge.engine")
        for name in (
            "batch_size", "threads", "server.url", "server.api_key_env", "server.concurrency",
            "server.requests_per_minute", "server.timeout_s", "server.retries", "vllm.start_s",
            "ray.address", "ray.replicas", "ray.block", "ray.cpus", "ray.deaths", "ray.start_s",
        )
    ),
)  # fmt: skip


def model_name(k: int) -> str:
    """The name of M_k, and of its folder in a run: m0, m1 ...; -1 is the SFT baseline, sft."""
    return "sft" if k == -1 else f"m{k}"


def run_place(named: str | os.PathLike[str] | None, recipe: Recipe) -> Path:
    """Where a recipe runs when nobody says: in the run folder by which it was named, else in runs/<name>."""
    if named is not None and (Path(named) / RECIPE_FILE).is_file():
        return Path(named)
    return Path("runs") / recipe.name


class RunFolder:
    """One run: `runs/<name>`. Reading needs no lock; `open_run` is the way to write."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._track: Callable[[Mapping[str, Any]], None] = lambda line: None  # to trackers, while the run is open

    @property
    def metrics(self) -> Path:
        """Every scalar of the run, one line each."""
        return self.path / METRICS_FILE

    @property
    def attempt(self) -> Path:
        """Where the newest launch logs: logs/attempt_N."""
        return _attempt(self.path, max(_attempts(self.path)))

    def folder(self, name: str) -> Path:
        """The folder of a part of the run: seed, sft, m1, m2 ...; made where it is missing."""
        path = self.path / name
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def recipe(self) -> Recipe:
        """The recipe the run was started with; BadInput where this is no run folder."""
        if not self.path.is_dir():
            what = "is a file, a run is a folder" if self.path.exists() else "no such run"
            raise BadInput(what, self.path, "start one with: selfreward run micro")
        return load_recipe(self.path / "")

    def models(self) -> list[str]:
        """Names of the models that can be used, oldest first: m0, and those whose training is finished."""
        recipe = self.recipe()
        trained = [model_name(k) for k in (-1, *range(1, recipe.rounds + 2))]
        return ["m0", *(name for name in trained if (self.path / name / MODEL_FOLDER).is_dir())]

    def model_path(self, name: str) -> str:
        """Where a model of the run lies, for a loader; BadInput names those there are."""
        if name not in self.models():
            hint = nearest(name, self.models())
            raise BadInput(f"no model {name!r} in this run", self.path, hint)
        return self._m0() if name == "m0" else str(self.path / name / MODEL_FOLDER)

    def _m0(self) -> str:
        """The folder of M0: with the run's chat template if there is one, else its own; a hub model's at its commit."""
        if (self.path / BASE_FOLDER).is_dir():
            return str(self.path / BASE_FOLDER)
        return base_model(self.recipe(), self.path)

    def template_hashes(self) -> dict[str, dict[str, str]]:
        """Kind -> template -> SHA-256 of the text with which the run was started; empty where its stamp holds none."""
        path = self.path / STAMP_FILE
        return dict(read_json(path).get("templates") or {}) if path.is_file() else {}

    def judge_text(self) -> str | None:
        """SHA-256 of the template with which the run's models are measured as judges; None where its stamp holds none."""
        return self.template_hashes().get("judge", {}).get(self.recipe().judge.template)

    def log(self, **scalars: Any) -> None:
        """Adds one line to the metrics, with the time; and one more where a kill had torn the last. Trackers get it too."""
        line = {"time": round(time.time(), 3), **scalars}
        if cut := append_row(self.metrics, line):
            append_row(self.metrics, {"time": line["time"], "torn": METRICS_FILE, "bytes": cut})
        self._track(line)

    def seal(self, *names: str) -> None:
        """Records files and folders that are finished in the manifest; see `manifest.seal`."""
        seal(self.path, *names)


def base_model(recipe: Recipe, run: Path) -> str:
    """The folder of `recipe.model`; of a hub model, at the commit with which the run was started, if it was."""
    revision = recipe.revision
    if (run / STAMP_FILE).is_file():
        revision = read_json(run / STAMP_FILE).get("commit") or revision
    return resolve_model(recipe.model, revision, recipe.engine.trust_remote_code)


def template_of(recipe: Recipe, model: str) -> str | None:
    """The chat template that M0 has to be given; BadInput where it needs one and the recipe names none, or has its own."""
    name, has_one = recipe.chat.template, has_chat_template(model)
    if name is None and not has_one:
        names = ", ".join(template_names("chat"))
        raise BadInput("has no chat template", recipe.model, f"set chat.template to a .jinja file or one of: {names}")
    if name is None:
        return None
    if has_one:
        raise BadInput(f"is {name!r}, but {recipe.model} has a template of its own", "chat.template", "leave it out")
    return source("chat", name)


def _check_usable(path: Path) -> None:
    """BadInput where a folder is there that holds something other than a run."""
    if path.exists() and not path.is_dir():
        raise BadInput("is a file, a run is a folder", path, "give another place with --to")
    if not path.exists() or (path / RECIPE_FILE).exists():
        return
    ours = {LOCK_FILE, STAMP_FILE, f"{STAMP_FILE}.tmp", f"{RECIPE_FILE}.tmp"}  # a start that was killed left these
    strange = sorted({entry.name for entry in path.iterdir()} - ours)
    if strange:
        what = f"not a run folder: it has no {RECIPE_FILE} but holds {', '.join(strange[:3])}"
        raise BadInput(what, path, "give an empty or a new folder with --to")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds run.lock, with this process's id in it; the system frees the lock of a process that died."""
    with (path / LOCK_FILE).open("a+") as lock:
        try:
            _take(lock)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise BadInput(f"process {pid} is running in this folder", path, "wait for it, or stop it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _take(lock: IO[str]) -> None:
    """Takes a lock or raises BlockingIOError. Tries again once, since `is_running` holds it for a moment, too."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_running(path: Path) -> bool:
    """Whether a process works in the folder of a run."""
    try:
        with (path / LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no run has begun there, or nobody may look
        return False
    return False


def _same_recipe(path: Path, recipe: Recipe) -> None:
    """BadInput that lists what differs between the folder's recipe and the one given."""
    other = [line for line in differences(load_recipe(path), recipe) if not line.startswith(FREE_TO_CHANGE)]
    if other:
        what = "this folder's run has another recipe:\n  " + "\n  ".join(other) + "\n"
        raise BadInput(what, path, f"give another folder with --to, or continue this run: selfreward run {path}")


def _text_hashes(recipe: Recipe) -> dict[str, dict[str, str]]:
    """As `RunFolder.template_hashes`, of the templates of all rounds as they are; BadInput where one is not there."""
    rounds = [recipe, *(recipe.of_round(k) for k in range(2, recipe.rounds + 2))]
    named: dict[Kind, set[str]] = {
        "judge": {one.judge.template for one in rounds},
        "prompts": {one.prompts.template for one in rounds},
        "pairwise": {one.meta_judge.template for one in rounds},
    }
    return {kind: {name: text_hash(kind, name) for name in sorted(names)} for kind, names in named.items()}


def _same_texts(path: Path, texts: dict[str, dict[str, str]]) -> None:
    """BadInput where a template has another text than the run was started with: it would be half of one judge, half of another."""
    for kind, stamped in RunFolder(path).template_hashes().items():
        for name, text in stamped.items():
            if texts.get(kind, {}).get(name) != text:
                what = f"the {kind} template {name} has been edited since the run was started"
                raise BadInput(what, path, "restore the text, or start another run with --to")


def _stamped(path: Path) -> str:
    """The text of a run's stamp; a run whose folder was put together by hand may have none."""
    return (path / STAMP_FILE).read_text() if (path / STAMP_FILE).exists() else str(path)


def _attempts(path: Path) -> list[int]:
    """The numbers of a run's launches so far."""
    numbers = (entry.name.removeprefix("attempt_") for entry in (path / LOGS_FOLDER).glob("attempt_[0-9]*"))
    return [int(number) for number in numbers if number.isdecimal()]


def _attempt(path: Path, number: int) -> Path:
    """The folder in which a launch logs."""
    return path / LOGS_FOLDER / f"attempt_{number}"


def _next_attempt(path: Path) -> Path:
    """A fresh logs/attempt_N."""
    attempt = _attempt(path, max(_attempts(path), default=0) + 1)
    attempt.mkdir(parents=True)
    return attempt


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """What libraries log and warn goes to a file while the run works, and the traceback that ends it."""
    handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # A disk that is full ends the run in a line of its own; logging would print a traceback for every line it cannot write.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    logging.captureWarnings(True)
    logging.getLogger().addHandler(handler)
    try:
        yield
    except Exception:
        logging.getLogger("selfreward").exception("the run stopped")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        logging.captureWarnings(False)
        handler.close()


@contextmanager
def open_run(path: str | Path, recipe: Recipe, command: Sequence[str] | None = None) -> Iterator[RunFolder]:
    """Starts a run in a folder or continues the one there, alone: yields it locked, stamped and logging.

    BadInput where the folder holds something else, another recipe or a running process, or cannot be written. A first
    launch writes recipe.yaml and stamp.json; every launch writes logs/attempt_N (stamp, recipe, log). The logs and the
    metrics are sealed where a launch ends well.
    """
    run = RunFolder(path)
    _check_usable(run.path)
    model = base_model(recipe, run.path)
    template, texts = template_of(recipe, model), _text_hashes(recipe)
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        (run.path / LOCK_FILE).touch()
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", run.path, "give another folder with --to") from None
    with _locked(run.path):
        launch = stamp(command)
        if (run.path / RECIPE_FILE).exists():
            _same_recipe(run.path, recipe)
            _same_texts(run.path, texts)
        else:
            commit = Path(model).name if is_hub_name(recipe.model) else None
            made_of = {"model": recipe.model, "commit": commit, "weights": weight_hashes(model)}
            write_json(run.path / STAMP_FILE, {**launch, **made_of, "templates": texts})
            write_text(run.path / RECIPE_FILE, to_yaml(recipe))
        if template is not None and not (run.path / BASE_FOLDER).exists():
            with saving(run.path / BASE_FOLDER) as unfinished:
                link_with_template(model, template, unfinished)
        with writing(run.path):
            attempt = _next_attempt(run.path)
        write_json(attempt / STAMP_FILE, launch)
        write_text(attempt / RECIPE_FILE, to_yaml(recipe))
        with _logging_to(attempt / "log.txt"):
            for name in forget_missing(run.path):
                logging.getLogger("selfreward").warning("%s is gone; what is needed of it is made again", name)
            seal(run.path, STAMP_FILE, RECIPE_FILE, BASE_FOLDER)
            with tracking(recipe, run.path, digest(_stamped(run.path))) as run._track:
                yield run
        seal(run.path, METRICS_FILE, LOGS_FOLDER)
