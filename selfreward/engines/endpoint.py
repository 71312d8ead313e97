"""An HTTP endpoint that takes JSON and gives JSON: how many requests at once, at what pace, what is tried again.

Tried again are connections that fail, answers that take too long, 429 and 5xx, answers that are no JSON, which is how a
proxy hands on what it got half of, and what their reader takes for such; nothing else. The key comes from an environment
variable and goes into one header; it is in no message, log or record.
"""

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from selfreward.errors import BadInput, StageFailed
from selfreward.recipe import Server
from selfreward.text import visible

T = TypeVar("T")
log = logging.getLogger(__name__)

BACKOFF_S = 1.0  # before the first new try; doubled for each further one, times 0.5 to 1
LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 900.0  # a server that asks for more is not waited for
CONNECT_S = 10.0
MOST_SHOWN = 300  # characters of a server's message
HIDDEN = "***"  # in the place of the key
LEAST_KEY = 16  # characters; what is shorter is made up for a server that wants none, and may be a word of its answers
_MOVED = "give server.url the address that it moved to"
ADVICE = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    401: "check the key",
    403: "check the key and what it may be used for",
    404: "check server.url, which ends on /v1, and the model's name",
}


class Rejected(Exception):
    """The server answered and will not do it: a 4xx other than 429."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Passing(Exception):
    """A fault that may pass; `todo` is what to do where it does not, if it says more than that."""

    def __init__(self, reason: str, wait_s: float | None = None, todo: str = "") -> None:
        super().__init__(reason)
        self.reason, self.wait_s, self.todo = reason, wait_s, todo


class Endpoint:
    """A server that is asked from ordinary code; requests run at once on an event loop in a thread of their own."""

    def __init__(
        self,
        url: str,
        settings: Server,
        key: str | None = None,
        gone: Callable[[], str | None] = lambda: None,  # why trying again is in vain, where that is known
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.settings = settings
        self.counts: Counter[str] = Counter(requests=0, retries=0)
        self._key = key
        self._gone = gone
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(settings.timeout_s, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=settings.concurrency),
            trust_env=not is_loopback(url),  # a proxy has no way to this machine's own servers
            transport=transport,
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._failed: StageFailed | None = None  # what ended the call under way
        self._next_start = 0.0  # on time.monotonic's clock
        self._jitter = Random()

    def run_all(self, tasks: Sequence[Callable[[], Awaitable[T | None]]]) -> tuple[list[T | None], StageFailed | None]:
        """What each task returns, and the first failure. After it no request is begun; those under way may end."""
        return self._run(self._all(tasks))

    async def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """What `read` makes of the JSON of the answer. Rejected for a 4xx, StageFailed where trying again did not help either.

        `read` raises Passing for what may be better another time. A web page is not asked for again: the address is wrong.
        """
        tries = self.settings.retries + 1
        async with self._slots:
            for attempt in range(tries):
                if self._failed:
                    raise self._failed
                await self._pace()
                self.counts["requests" if attempt == 0 else "retries"] += 1
                try:
                    return read(await self._asked_once(path, body))
                except Passing as fault:
                    last = fault
                if gone := self._gone():
                    raise StageFailed(gone, self.url, "run again to go on")
                if (last.wait_s or 0) > LONGEST_RETRY_AFTER_S:
                    raise StageFailed(
                        f"{last.reason}; it asks to wait {last.wait_s:.0f} s", self.url, "run again later"
                    )
                if attempt < self.settings.retries:
                    await self._back_off(attempt, last)
        if last.todo:
            raise StageFailed(last.reason, self.url, last.todo)
        raise StageFailed(f"no answer in {tries} tries; the last: {last.reason}", self.url, "run again to go on")

    async def _asked_once(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON of the answer; Passing for what may be better another time."""
        try:
            response = await self._client.post(f"{self.url}{path}", json=body)
        except httpx2.RequestError as error:  # no connection, no end, a body that is not what its header says
            raise Passing(self._shown(f"{type(error).__name__} {error}")) from None
        if response.is_success:
            return self._json(response)
        reason = self._message(response)
        if response.status_code != 429 and not response.is_server_error:
            raise Rejected(response.status_code, _code(response), reason)
        if _code(response) == "insufficient_quota":
            raise StageFailed(f"429: {reason}", self.url, "the account is used up; run again to go on")
        raise Passing(f"{response.status_code}: {reason}", _retry_after_s(response))

    def failure(self, rejected: Rejected) -> StageFailed:
        """A 4xx as the end of a stage."""
        todo = ADVICE.get(rejected.status, "nothing was tried again, as it would be answered the same")
        return StageFailed(f"{rejected.status}: {rejected.message}", self.url, todo)

    def close(self) -> None:
        """End the connections and the thread; a second time does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C reaches this thread, not the loop's
            raise

    async def _all(
        self, tasks: Sequence[Callable[[], Awaitable[T | None]]]
    ) -> tuple[list[T | None], StageFailed | None]:
        self._failed = None

        async def one(task: Callable[[], Awaitable[T | None]]) -> T | None:
            try:
                return await task()
            except Rejected as rejected:
                self._failed = self._failed or self.failure(rejected)
            except StageFailed as failed:
                self._failed = self._failed or failed
            return None

        results = await asyncio.gather(*(one(task) for task in tasks))
        return results, self._failed

    async def _pace(self) -> None:
        """Waits for this request's turn; turns are evenly spaced, and none comes while the server wants rest."""
        per_minute = self.settings.requests_per_minute
        now = time.monotonic()
        start = max(now, self._next_start)
        if per_minute:
            self._next_start = start + 60 / per_minute
        if start > now:
            await asyncio.sleep(start - now)

    async def _back_off(self, attempt: int, fault: "Passing") -> None:
        """A pause that grows, which a server can make longer but not shorter: some ask to be asked again in 0 seconds."""
        if fault.wait_s is not None:
            self._next_start = max(self._next_start, time.monotonic() + fault.wait_s)  # holds for every request
        pause_s = min(LONGEST_BACKOFF_S, BACKOFF_S * 2**attempt) * self._jitter.uniform(0.5, 1)
        asked = "" if fault.wait_s is None else f", and it asks for {fault.wait_s:g} s"
        log.warning(
            "%s; try %d of %d in %.2f s%s", fault.reason, attempt + 2, self.settings.retries + 1, pause_s, asked
        )
        await asyncio.sleep(pause_s)

    def _json(self, response: httpx2.Response) -> Any:
        try:
            answer = response.json()
            return self._without_key(answer) if len(self._key or "") >= LEAST_KEY else answer
        except (ValueError, RecursionError):
            what = f"answered {response.status_code} with something other than JSON: {self._shown(response.text)!r}"
        if "html" in response.headers.get("Content-Type", "").lower():
            raise StageFailed(what, self.url, ADVICE[404])
        raise Passing(what, todo="check server.url")

    def _message(self, response: httpx2.Response) -> str:
        """What the server says is wrong, in one line."""
        if response.is_redirect:
            return self._shown(f"moved to {response.headers.get('Location', 'nowhere')}")
        try:
            body = response.json()
        except (ValueError, RecursionError):
            return self._shown(response.text) or response.reason_phrase
        error = body.get("error", body) if isinstance(body, dict) else body
        said = (
            next((error[k] for k in ("message", "detail") if error.get(k)), error) if isinstance(error, dict) else error
        )
        return self._shown(str(said))

    def _shown(self, text: str) -> str:
        """A short text of a server's, without the key that some of them repeat."""
        if self._key:
            text = text.replace(self._key, HIDDEN)
        return visible(" ".join(text.split()))[:MOST_SHOWN]

    def _without_key(self, value: Any) -> Any:
        """An answer whose texts hold no key: one that a server says again would become a record."""
        if isinstance(value, dict):
            return {key: self._without_key(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._without_key(inner) for inner in value]
        return value.replace(self._key or "", HIDDEN) if isinstance(value, str) else value


def read_key(variable: str | None) -> str | None:
    """The key that stands in an environment variable; BadInput where it is not set or can stand in no header."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BadInput(
            "this environment variable, which should hold the key, is not set", variable, f"export {variable}="
        )
    if not (key.isascii() and key.isprintable()):  # what refuses such a header quotes it, and so the key
        what = "the key in this environment variable has line breaks or characters that no header can hold"
        raise BadInput(what, variable, "set it again")
    return key


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def check_reachable(url: str, key: str | None) -> None:
    """BadInput where no server answers at the URL, or one that does not know the key, sends elsewhere or shows a web page."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx2.Client(timeout=CONNECT_S, trust_env=not is_loopback(url)) as client:
            answer = client.get(f"{url.rstrip('/')}/models", headers=headers)
    except httpx2.HTTPError as error:
        raise BadInput(f"does not answer: {error}", url, "start the server, or mend server.url") from None
    if answer.status_code in (401, 403) or answer.is_redirect:
        place = f" and sends to {answer.headers.get('Location')}" if answer.is_redirect else ""
        said = f"answers {answer.status_code}{place}"
        raise BadInput(said.replace(key, HIDDEN) if key else said, url, ADVICE.get(answer.status_code, _MOVED))
    if answer.is_success and "html" in answer.headers.get("Content-Type", "").lower():
        raise BadInput("answers with a web page", url, ADVICE[404])


def _code(response: httpx2.Response) -> str:
    """The machine-readable kind of an error: OpenAI's `code`, else its `type`."""
    try:
        error = response.json()["error"]
        return str(error.get("code") or error.get("type") or "")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""


def _retry_after_s(response: httpx2.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or a date; None where it does not."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
