"""`selfreward watch`: follows a run that another process works on."""

import time
from typing import Annotated

import typer

from selfreward.cli.common import RunArgument, exit_codes


def watch(
    run: RunArgument,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds from look to look.")] = 2.0,
) -> None:
    """Follow a running run: stage, rate, time left, alarms, scores. Exit code 3 where it stops before its end."""
    with exit_codes():
        from rich.console import Console
        from rich.live import Live

        from selfreward.errors import StageFailed
        from selfreward.following import Follower
        from selfreward.report.watched import render_moment, stage_line

        follower, console, name = Follower(run), Console(), run.resolve().name
        moment, said = follower.look(), ""
        with Live(render_moment(name, moment), console=console, auto_refresh=False) as live:
            while moment.state == "running":
                if not console.is_terminal and moment.stage and said != (said := stage_line(moment.stage)):
                    print(said, flush=True)
                time.sleep(every)
                moment = follower.look()
                live.update(render_moment(name, moment), refresh=console.is_terminal)
        if moment.state == "stopped":
            raise StageFailed("no process works on it, and it is not finished", run, f"go on: selfreward run {run}")
