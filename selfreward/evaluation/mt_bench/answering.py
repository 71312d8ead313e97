"""Chats with a model: every turn of a question is asked with what was said before, the model's own answers among it."""

from collections.abc import Sequence

from selfreward.engines.base import Completion, Engine, Request, Sampling, ask
from selfreward.evaluation.mt_bench.files import Answer, Choice, Question
from selfreward.records import seed_of

# As the published program samples; elsewhere like writing.
TEMPERATURES = {
    "writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1, "extraction": 0.0, "math": 0.0, "coding": 0.0,
    "reasoning": 0.0,
}  # fmt: skip
MAX_TOKENS = 1024


def answer(engine: Engine, questions: Sequence[Question], model: str, seed: int) -> list[Answer]:
    """A model's answers to all turns of each question, in order; each depends on seed, model and question alone."""
    said: list[list[Completion]] = [[] for _ in questions]
    for turn in range(max((len(question.turns) for question in questions), default=0)):
        asked = [i for i, question in enumerate(questions) if turn < len(question.turns)]
        for temperature in sorted({_temperature(questions[i]) for i in asked}):
            places = [i for i in asked if _temperature(questions[i]) == temperature]
            requests = [_request(questions[i], said[i], model, seed) for i in places]
            sampling = Sampling(temperature, 1.0, MAX_TOKENS)
            answered = ask(engine, requests, sampling, lambda _, completions: completions[0])
            for i, completion in zip(places, answered, strict=True):
                said[i].append(completion)
    return [_answer(question, one, model) for question, one in zip(questions, said, strict=True)]


def _temperature(question: Question) -> float:
    return TEMPERATURES.get(question.category, TEMPERATURES["writing"])


def _request(question: Question, said: Sequence[Completion], model: str, seed: int) -> Request:
    turn = len(said)
    history = tuple((prompt, one.text) for prompt, one in zip(question.turns, said, strict=False))
    id = f"{question.question_id} turn {turn + 1}"
    return Request(id, question.turns[turn], 1, seed_of(seed, "mt-bench", model, id), history)


def _answer(question: Question, said: Sequence[Completion], model: str) -> Answer:
    return Answer(
        id=str(question.question_id),
        question_id=question.question_id,
        model_id=model,
        choices=(Choice(turns=tuple(one.text for one in said)),),
        unfinished=sum(not one.finished for one in said),
    )
