"""The web app: which address gives which page. Everything that is asked for is looked up; nothing becomes a path."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from selfreward import store
from selfreward.errors import BadInput, StageFailed
from selfreward.following import Follower
from selfreward.labels import label
from selfreward.records import Pair
from selfreward.viewer import pages
from selfreward.viewer.guard import Guard, Refused, Tokens
from selfreward.viewer.indexes import Indexes
from selfreward.viewer.judging import Question
from selfreward.viewer.lineage import lineage
from selfreward.viewer.runs import NotThere, Source, parts, run_of, source_of, sources
from selfreward.viewer.shown import STATIC, html, static
from selfreward.viewer.workers import Job, Workers

RUNNING_S, RESTING_S, JUDGING_S = 2, 15, 1  # after which a page looks again
MOST_VOTES = 16
_SAID = {"right": True, "wrong": False, "nothing": None}
_OF_A_ROUND = {store.ATTEMPTS_FILE, store.PROMPTS_FILE, store.RESPONSES_FILE, store.JUDGEMENTS_FILE, store.PAIRS_FILE}


def make_app(places: Sequence[Path], indexes: Indexes, workers: Workers) -> Guard:
    """The app that shows the runs in these folders. It listens to nothing by itself."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    tokens = Tokens()
    followers: dict[Path, Follower] = {}
    one_at_a_time = threading.Lock()  # looks at a run, and writers of labels

    def page(template: str, *, status: int = 200, again_s: int | None = None, **context: Any) -> HTMLResponse:
        text = html(template, token=tokens.value, **context)
        headers = {"Cache-Control": "no-store", **({"X-Again": str(again_s)} if again_s else {})}
        return HTMLResponse(text, status, headers)

    @app.exception_handler(NotThere)
    def not_there(request: Request, error: NotThere) -> HTMLResponse:
        return page("message", status=404, title="Not here", said=str(error))

    @app.exception_handler(HTTPException)
    def no_such_page(request: Request, error: HTTPException) -> HTMLResponse:
        return page("message", status=error.status_code, title="Not here", said=str(error.detail))

    @app.exception_handler(RequestValidationError)
    def no_such_address(request: Request, error: RequestValidationError) -> HTMLResponse:
        return page("message", status=404, title="Not here", said="There is no such page.")

    @app.exception_handler(BadInput)
    @app.exception_handler(StageFailed)
    def failed(request: Request, error: Exception) -> HTMLResponse:
        return page("message", status=400, title="That did not work", said=str(error))

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> HTMLResponse:
        return page("message", status=403, title="Refused", said=str(error))

    @app.get("/static/{name}")
    def a_static_file(name: str) -> Response:
        if name not in STATIC:
            raise NotThere("There is no such file.")
        return Response(static(name), media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    @app.get("/")
    def all_runs(request: Request) -> HTMLResponse:
        return page("runs", now=time.time(), **pages.runs_page(places, dict(request.query_params)))

    @app.get("/runs/{name}")
    def one_run(name: str) -> HTMLResponse:
        run = run_of(places, name)
        indexes.prepare([source for part in parts(run) for source in sources(run, part)])
        return page("run", **pages.run_page(name, run))

    @app.get("/runs/{name}/live")
    def live(name: str) -> HTMLResponse:
        run = run_of(places, name)
        with one_at_a_time:
            follower = followers.setdefault(run, Follower(run))
            moment = follower.look()
        file = moment.stage.file if moment.stage and moment.state == "running" else None
        beside = sources(run, file.parent.name) if file and file.parent.name in parts(run) else []
        growing = next((source for source in beside if source.path == file), None)
        return page(
            "live", again_s=RUNNING_S if moment.state == "running" else RESTING_S, name=name, moment=moment, source=growing,
            items=pages.newest(growing, 3) if growing else [], log=pages.log_end(run, 300), now=time.time(),
        )  # fmt: skip

    @app.get("/runs/{name}/answers")
    def answers(name: str, request: Request) -> HTMLResponse:
        asked = dict(request.query_params)
        return page("answers", name=name, asked=asked, **pages.answers_page(run_of(places, name), indexes, asked))

    @app.get("/runs/{name}/files/{part}/{file}")
    def records(name: str, part: str, file: str, request: Request) -> HTMLResponse:
        run, asked = run_of(places, name), dict(request.query_params)
        source = source_of(run, part, file)
        listing = pages.records_page(run, source, indexes, asked)
        labelled = pages.labels_of(run) if source.path.name == store.PAIRS_FILE else {}
        return page(
            "records", name=name, source=source, listing=listing, asked=asked, labelled=labelled,
            siblings=sources(run, part), parts=parts(run),
        )  # fmt: skip

    @app.get("/runs/{name}/files/{part}/{file}/{begin}")
    def record(name: str, part: str, file: str, begin: int, request: Request) -> HTMLResponse:
        run = run_of(places, name)
        source = source_of(run, part, file)
        item, around = pages.one_line(source, begin)
        limit = 10**9 if request.query_params.get("whole") else None
        context: dict[str, Any] = {"name": name, "source": source, "item": item, "around": around, "limit": limit}
        about = _prompt_of(source, item)
        if about is None:
            return page("record", **context)
        found = lineage(run, indexes, part, *about, item.begin if isinstance(item.record, Pair) else None)
        recipe, models = pages.recipe_of(run), store.RunFolder(run).models()
        said = pages.labels_of(run).get(found.pair.id) if found.pair else None
        return page("lineage", **context, found=found, models=models, said=said, recipe=recipe, most_votes=MOST_VOTES)

    @app.post("/runs/{name}/label")
    async def mark(name: str, request: Request) -> Response:
        form = await tokens.form(request)
        return await run_in_threadpool(_mark, name, form)

    def _mark(name: str, form: dict[str, str]) -> Response:
        run = run_of(places, name)
        source, begin = _line_of(run, form)
        pair = pages.one_line(source, begin)[0].record
        if not isinstance(pair, Pair) or form.get("said") not in _SAID:
            raise NotThere("That is no pair, or no mark.")
        with one_at_a_time:
            label(run, source.part, pair, _SAID[form["said"]])
        return RedirectResponse(f"/runs/{quote(name, safe='')}/files/{source.part}/{source.name}/{begin}", 303)

    @app.post("/runs/{name}/judge")
    async def judge_again(name: str, request: Request) -> Response:
        form = await tokens.form(request)
        job = await run_in_threadpool(_ask, name, form)
        return RedirectResponse(f"/jobs/{job.id}", 303)

    def _ask(name: str, form: dict[str, str]) -> Job:
        run = run_of(places, name)
        source, begin = _line_of(run, form)
        about = _prompt_of(source, pages.one_line(source, begin)[0])
        votes, model = form.get("votes", ""), form.get("model", "")
        if about is None or not votes.isdecimal() or not 1 <= int(votes) <= MOST_VOTES:
            raise NotThere(f"That cannot be judged: it is no response, or not 1 to {MOST_VOTES} votes were asked for.")
        store.RunFolder(run).model_path(model)
        found = lineage(run, indexes, source.part, *about)
        for one in found.answers:
            if one.response.id == form.get("response"):
                question = Question(
                    run=run, model=model, prompt=one.response.prompt, response=one.response.text, votes=int(votes)
                )
                return workers.ask(question, model)
        raise NotThere("There is no such response, or its file is not indexed yet.")

    @app.get("/jobs/{id}")
    def answer(id: str, request: Request) -> HTMLResponse:
        job = workers.job(id)
        if job is None:
            raise NotThere("That judgement is not kept any more.")
        template = "job" if request.headers.get("x-part") else "job_page"
        return page(template, again_s=None if job.is_over else JUDGING_S, job=job)

    @app.exception_handler(Exception)
    def fault(request: Request, error: Exception) -> HTMLResponse:
        said = (
            f"A fault of selfreward's own, {type(error).__name__}: {error}. The terminal in which it runs says where."
        )
        return page("message", status=500, title="That did not work", said=said)

    return Guard(app)


def _line_of(run: Path, form: dict[str, str]) -> tuple[Source, int]:
    """The line that a form is about."""
    begin = form.get("begin", "")
    if not begin.isdecimal():
        raise NotThere("The form names no line.")
    return source_of(run, form.get("part", ""), form.get("file", "")), int(begin)


def _prompt_of(source: Source, item: pages.Item) -> tuple[str, str] | None:
    """(id, text) of the prompt that a record of a round is about; None for other records."""
    if source.path.name not in _OF_A_ROUND or item.record is None:
        return None
    values = item.record.model_dump()
    if source.path.name == store.ATTEMPTS_FILE:
        return source.kind.entry(values).prompt_id, values["text"].strip()
    text = values["samples"][0]["prompt"] if values.get("samples") else values.get("prompt", values.get("text", ""))
    return source.kind.entry(values).prompt_id, text
