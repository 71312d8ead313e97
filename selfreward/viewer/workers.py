"""Judging again, seen from the server: questions that wait, the process that answers them, and what it said."""

import json
import queue
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass

from selfreward.records import Judgement, Record, digest

MOST_KEPT = 100  # questions whose answers are remembered


@dataclass
class Job:
    """A question and, once it is there, its answer."""

    id: str
    model: str
    judgement: Judgement | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was answered."""
        return self.judgement is not None or self.error is not None


class Workers:
    """Has questions answered one after the other by a process that is started with the first."""

    def __init__(self, command: list[str] | None = None) -> None:
        self._command = command or [sys.executable, "-m", "selfreward.viewer.judging"]
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: queue.Queue[tuple[Job, str] | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, question: Record, model: str) -> Job:
        """Puts a question to the end of those that wait."""
        job = Job(digest("job", question.model_dump_json(), len(self._jobs)), model)
        self._jobs[job.id] = job
        while len(self._jobs) > MOST_KEPT:
            self._jobs.popitem(last=False)
        self._waiting.put((job, question.model_dump_json()))
        return job

    def job(self, id: str) -> Job | None:
        """The job of this id; None where it was forgotten."""
        return self._jobs.get(id)

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self._waiting.put(None)
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def _work(self) -> None:
        while (next_one := self._waiting.get()) is not None:
            job, question = next_one
            try:
                answer = self._answer(question)
            except (OSError, ValueError) as error:
                answer = {"error": f"the process that judges ended: {error}"}
            if "judgement" in answer:
                job.judgement = Judgement.model_validate(answer["judgement"])
            else:
                job.error = str(answer["error"])

    def _answer(self, question: str) -> dict[str, object]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"exit code {self._process.wait()}")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found
