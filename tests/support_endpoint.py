"""A fake endpoint of the OpenAI API on this machine: says what a script tells it to, with the faults that servers have.

As a program, `vllm serve MODEL --port P ...`, it stands for vLLM; what it does wrong is named in FAKE_VLLM: `crash` at the
start, `mute` never to answer, `mortal` to die at its third question.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from random import Random
from typing import Any

TEXT = "the a cat dog river tree runs sees big red is was write review score word sentence about with exactly"
WORDS = TEXT.split()
Says = Callable[[str, float], Sequence[str]]  # (prompt, temperature) -> what may be said; greedy says the first


def varied(prompt: str, temperature: float) -> list[str]:
    """Many answers, a function of the prompt."""
    rng = Random(prompt)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 9))) for _ in range(64)]


class FakeEndpoint:
    """A server in a thread; what it was asked is kept in `bodies`, what it does wrong are its attributes."""

    def __init__(self, says: Says = varied, model: str = "judge-1", port: int = 0) -> None:
        self.says = says
        self.model = model
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.times: list[float] = []
        self.faults: list[
            tuple[int, dict[str, str], Any] | str
        ] = []  # given before any answer; `drop` hangs up, `hang` does so late
        self.faults_by_prompt: dict[str, tuple[int, dict[str, str], Any]] = {}
        self.about: tuple[int, dict[str, str], Any] | None = None  # given in place of the list of models
        self.choice: dict[str, Any] = {}  # laid over every choice
        self.probs: Mapping[str, float] | None = None  # of the next token; None: gives none
        self.probs_after: Mapping[str, float] | None = None  # of the one after it
        self.takes_n = self.samples = True
        self.temperature: float | None = None  # whatever is asked
        self.key: str | None = None
        self.context = 10**9  # words
        self.delay_s = 0.0
        self.timeout_s = 1.0  # of the client's: `hang` lasts longer
        self.most_at_once = self.at_once = 0
        self.dies_at: int | None = None
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handler(fake: "FakeEndpoint") -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body leave together: else each answer waits 40 ms for an acknowledgement

            def log_message(self, *args: Any) -> None:
                pass

            def send(self, status: int, headers: Mapping[str, str], body: Any) -> None:
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

            def may(self) -> bool:
                if fake.key is None or self.headers["Authorization"] == f"Bearer {fake.key}":
                    return True
                self.send(401, {}, {"error": {"message": f"bad key {self.headers['Authorization']}"}})
                return False

            def do_GET(self) -> None:
                if self.may():
                    self.send(*(fake.about or (200, {}, {"object": "list", "data": [{"id": fake.model}]})))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with fake.lock:
                    fake.bodies.append(body)
                    fake.headers.append(dict(self.headers))
                    fake.times.append(time.monotonic())
                    fake.at_once += 1
                    fake.most_at_once = max(fake.most_at_once, fake.at_once)
                    fault = fake.fault(body)
                    if fake.dies_at is not None and len(fake.bodies) >= fake.dies_at:
                        print("CUDA error: an illegal memory access was encountered", flush=True)
                        os._exit(7)
                try:
                    time.sleep(fake.delay_s)
                    self.answer(body, fault)
                except OSError:
                    self.close_connection = True  # the client has left
                finally:
                    with fake.lock:
                        fake.at_once -= 1

            def answer(self, body: dict[str, Any], fault: Any) -> None:
                prompt = body["messages"][0]["content"]
                fault = fault or fake.faults_by_prompt.get(prompt)
                if fault == "hang":
                    time.sleep(1.5 * fake.timeout_s)
                if fault in ("drop", "hang"):
                    self.close_connection = True
                elif fault:
                    self.send(*fault)
                elif self.may():
                    self.send(*fake.complete(body, prompt))

        return Handler

    def fault(self, body: dict[str, Any]) -> Any:
        """What goes wrong with this call, if anything; called by one thread at a time."""
        return self.faults.pop(0) if self.faults else None

    def complete(self, body: dict[str, Any], prompt: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the answer."""
        if len(prompt.split()) >= self.context:
            what = f"This model's maximum context length is {self.context} tokens. Please reduce the length."
            return 400, {}, {"error": {"message": what, "type": "BadRequestError", "code": 400}}
        temperature = body["temperature"] if self.temperature is None else self.temperature
        temperature = temperature if self.samples else 0
        number = body.get("n", 1) if self.takes_n else 1
        choices, num_tokens = [], 0
        for index in range(number):
            text = self.draw(prompt, temperature, body["seed"] + index) if "seed" in body else "0"
            words = re.findall(r"\s*\S+", text)
            finished = len(words) + 1 <= body["max_tokens"]
            num_tokens += len(words) + 1 if finished else body["max_tokens"]
            message = {"role": "assistant", "content": text if finished else "".join(words[: body["max_tokens"]])}
            choice = {"index": index, "message": message, "finish_reason": "stop" if finished else "length"}
            if body.get("logprobs") and self.probs is not None:
                places = [place(self.probs), *([place(self.probs_after)] if self.probs_after else [])]
                choice["logprobs"] = {"content": places[: body["max_tokens"]]}
            choices.append(choice | self.choice)
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": num_tokens}
        return 200, {}, {"model": self.model, "choices": choices[::-1], "usage": usage}

    def draw(self, prompt: str, temperature: float, seed: int) -> str:
        texts = list(self.says(prompt, temperature))
        return texts[0] if temperature == 0 else Random(seed).choice(texts)


def place(probs: Mapping[str, float]) -> dict[str, Any]:
    """The likeliest token, as drawn, and the probabilities at its place."""
    top = [{"token": token, "logprob": log(p), "bytes": None} for token, p in probs.items()]
    return {"token": max(probs, key=probs.__getitem__, default="0"), "top_logprobs": top}


def vllm(arguments: list[str]) -> None:
    """Is `vllm serve`."""
    command, model, *_ = arguments
    assert command == "serve", arguments
    given = dict(zip(arguments[2::2], arguments[3::2], strict=False))
    assert given["--served-model-name"] == model and given["--host"] == "127.0.0.1"
    fault = os.environ.get("FAKE_VLLM")
    print(f"serving {model} with {' '.join(arguments[2:])}", flush=True)
    if fault == "crash":
        print("ValueError: the model's weights are 80 GiB and there are 3", flush=True)
        sys.exit(3)
    if fault == "mute":
        time.sleep(60)
    if fault == "stubborn":
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import subprocess

    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])  # as vLLM's engine core is
    print(f"worker {worker.pid}", flush=True)
    fake = FakeEndpoint(model=model, port=int(given["--port"]))
    fake.key = os.environ["VLLM_API_KEY"]
    fake.probs = {" 3": 0.6, " 4": 0.3, "!": 0.1}
    fake.context = int(given.get("--max-model-len", 10**9))
    fake.dies_at = 8 if fault == "mortal" else None
    if pids := os.environ.get("FAKE_VLLM_PIDS"):
        with open(pids, "a") as file:
            file.write(f"{os.getpid()}\n{worker.pid}\n")
    fake.thread.join()


if __name__ == "__main__":
    vllm(sys.argv[1:])
