"""The scalars of a run in trackers as well: TensorBoard, trackio, Weights & Biases, MLflow, as `recipe.tracking` names them.

A run is one run in each of them, however often it is started. metrics.jsonl holds everything in any case, so a tracker that
fails stops nothing: it is told, and gets no more.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from time import time_ns
from typing import Any

from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Recipe, flat

Scalars = Mapping[str, float]
Track = Callable[[Scalars, int | None, float], None]  # scalars by name, the step of those that have one, the time
PROJECT = "selfreward"  # where a tracker's own variable (WANDB_PROJECT ...) does not say another
_LABELS = ("time", "step", "k")  # numbers that say when or where, not how much
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}  # reports of use to their makers


def scalars_of(line: Mapping[str, Any]) -> tuple[dict[str, float], int | None]:
    """The numbers of a line of metrics.jsonl by name, `m2/loss`, and their step, if they have one; no numbers, no names.

    Figures of models have the k of M_k as their step, 0 for the SFT baseline, so that a chart shows the rounds.
    """
    step = line.get("step")
    if "measured" in line:
        prefix, step = "measured", line.get("k")
    elif "stage" in line:
        prefix = str(line["stage"]).replace(" ", "/")
    elif "guard" in line:
        prefix = f"{line.get('model')}/alarm/{line['guard']}"
    elif "closed" in line:
        prefix = f"engine/{line['closed']}"
    else:
        prefix = str(line.get("model", "run"))
    numbers = {
        name: float(value)
        for name, value in flat(line)
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in _LABELS
    }
    return {f"{prefix}/{name}": value for name, value in numbers.items()}, step


def check_trackers(names: Sequence[str]) -> None:
    """BadInput where the package of a tracker is not installed."""
    for name in names:
        package, install, _ = TRACKERS[name]
        if find_spec(package) is None:
            raise BadInput(f"{name} needs the package {package}", "tracking", f"pip install {install}")


@contextmanager
def tracking(recipe: Recipe, run: Path, run_id: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Opens the recipe's trackers; yields what passes a line of the metrics on to them. StageFailed where one cannot begin."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    tracks: dict[str, Track] = {}

    def pass_on(line: Mapping[str, Any]) -> None:
        found, step = scalars_of(line)
        for name, track in [*tracks.items()] if found else []:
            try:
                track(found, step, line["time"])
            except Exception as error:  # of the network, of a server, of a disk
                del tracks[name]
                _tell(name, error)

    with ExitStack() as opened:
        for name in dict.fromkeys(recipe.tracking):
            try:
                with redirect_stdout(sys.stderr):  # some greet, and results alone go to stdout
                    tracker = TRACKERS[name][2](recipe, run, run_id)
                    tracks[name] = tracker.__enter__()
            except Exception as error:
                todo = f"mend it, or do without: --set 'tracking=[]' ({type(error).__name__})"
                raise StageFailed(f"{name} cannot begin: {_line(error)}", "tracking", todo) from error
            opened.callback(_close, name, tracker)
        yield pass_on


def _close(name: str, tracker: AbstractContextManager[Track]) -> None:
    try:
        with redirect_stdout(sys.stderr):
            tracker.__exit__(None, None, None)
    except Exception as error:
        _tell(name, error)


def _tell(name: str, error: Exception) -> None:
    """Says on stderr and in the run's log that a tracker has failed."""
    said = f"tracking: {name} failed and gets no more of this launch, metrics.jsonl does: {_line(error)}"
    logging.getLogger("selfreward").warning(said)
    print(f"warning: {said}", file=sys.stderr, flush=True)


def _line(error: Exception) -> str:
    return " ".join(f"{error}".split())[:300] or type(error).__name__


@contextmanager
def _tensorboard(recipe: Recipe, run: Path, run_id: str) -> Iterator[Track]:
    """Event files in logs/tensorboard of the run."""
    from tensorboardX import SummaryWriter

    # Names of event files have seconds, and two launches in one would share a file: the later would replace the earlier.
    suffix = f".{time_ns()}"
    with SummaryWriter(logdir=str(run / "logs" / "tensorboard"), filename_suffix=suffix) as writer:

        def track(scalars: Scalars, step: int | None, time: float) -> None:
            for name, value in scalars.items():
                writer.add_scalar(name, value, step, walltime=time)

        yield track


@contextmanager
def _trackio(recipe: Recipe, run: Path, run_id: str) -> Iterator[Track]:
    """A local database of trackio's own, where TRACKIO_DIR says."""
    import trackio

    project = os.environ.get("TRACKIO_PROJECT", PROJECT)
    trackio.init(project=project, name=f"{recipe.name}-{run_id[:6]}", config=_settings(recipe), resume="allow")
    yield lambda scalars, step, time: trackio.log(dict(scalars), step=step)
    trackio.finish()


@contextmanager
def _wandb(recipe: Recipe, run: Path, run_id: str) -> Iterator[Track]:
    """Where WANDB_PROJECT, WANDB_MODE and the login of wandb say."""
    import wandb

    settings = wandb.Settings(console="off", silent=True, disable_git=True, save_code=False)
    tracked = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT), name=recipe.name, id=run_id, resume="allow",
        dir=str(run / "logs"), config=_settings(recipe), settings=settings,
    )  # fmt: skip
    # Steps of wandb's own only ever rise; each training counts its own from 1.
    counted: set[str] = set()

    def track(scalars: Scalars, step: int | None, time: float) -> None:
        if step is None:
            tracked.log(dict(scalars))
            return
        prefix = next(iter(scalars)).partition("/")[0]
        if prefix not in counted:
            tracked.define_metric(f"{prefix}/*", step_metric=f"{prefix}/step")
            counted.add(prefix)
        tracked.log({**scalars, f"{prefix}/step": step})

    yield track
    tracked.finish()


@contextmanager
def _mlflow(recipe: Recipe, run: Path, run_id: str) -> Iterator[Track]:
    """Where MLFLOW_TRACKING_URI says, in the experiment that MLFLOW_EXPERIMENT_NAME says."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    experiment = client.get_experiment_by_name(name)
    experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
    before = client.search_runs([experiment_id], f"tags.`selfreward.run` = '{run_id}'")
    if before:
        tracked = before[0].info.run_id
    else:
        tracked = client.create_run(experiment_id, run_name=recipe.name, tags={"selfreward.run": run_id}).info.run_id
        params = [Param(key, str(value)) for key, value in flat(_settings(recipe))]
        for first in range(0, len(params), 100):  # MLflow takes so many at once
            client.log_batch(tracked, params=params[first : first + 100])

    def track(scalars: Scalars, step: int | None, time: float) -> None:
        metrics = [Metric(name, value, int(time * 1000), step or 0) for name, value in scalars.items()]
        client.log_batch(tracked, metrics=metrics)

    yield track
    client.set_terminated(tracked)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe, for the tables of a tracker; it holds no secret, keys are in the environment."""
    return recipe.model_dump(mode="json")


# name in a recipe -> (package, what pip installs, how it is opened)
TRACKERS: dict[str, tuple[str, str, Callable[[Recipe, Path, str], AbstractContextManager[Track]]]] = {
    "tensorboard": ("tensorboardX", "'selfreward[tracking]'", _tensorboard),
    "trackio": ("trackio", "trackio", _trackio),
    "wandb": ("wandb", "wandb", _wandb),
    "mlflow": ("mlflow", "mlflow-skinny", _mlflow),
}
