"""The files of MT-Bench: questions, answers and references in the published forms, and judgements."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from selfreward.errors import BadInput, few
from selfreward.evaluation.given import Row, read_given
from selfreward.records import Record, VoteFault
from selfreward.seeds.forms.row import Text

REFERENCED = ("math", "coding", "reasoning")  # categories whose judge is shown a reference, as published
NO_SCORE = -1  # how the published program writes that a grade could not be read

Id = int | str
Score = Annotated[float, Field(ge=1, le=10)]


class Question(Row):
    """A question: what the user says turn by turn, and correct answers to some of the turns."""

    question_id: Id
    category: str
    turns: Annotated[list[Text], Field(min_length=1)]
    reference: tuple[Text, ...] = ()  # one for each of the first turns; empty ones are none

    def reference_of(self, turn: int) -> str:
        """The correct answer to a turn, 0 the first; empty where there is none, or where its category does without."""
        return self.reference[turn] if self.category in REFERENCED and turn < len(self.reference) else ""


class Choice(Record):
    """One way in which a chat went."""

    index: int = 0
    turns: tuple[str, ...]


class Answer(Record):
    """A model's answers to all turns of a question; one line of the published form, with an id of ours."""

    id: str
    question_id: Id
    model_id: str
    choices: tuple[Choice]
    unfinished: int = Field(default=0, ge=0)  # answers cut at the limit of tokens or at the end of the context


class Grade(Record):
    """What the judge said of the answer to one turn."""

    id: str
    question_id: Id
    turn: int = Field(ge=1)
    model_id: str
    judge: str
    score: Score | None  # None: it could not be read
    fault: VoteFault | None  # None exactly when there is a score
    text: str  # the whole judgement


class _Choice(Row):
    turns: list[Text]


class _Answer(Row):
    question_id: Id
    model_id: str = ""
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]


class _Judged(Row):
    question_id: Id
    turn: Annotated[int, Field(ge=1)]
    score: float | None


Scores = dict[tuple[Id, int], float | None]  # of (question, turn from 1)


def read_questions(path: Path, references: Path | None = None) -> list[Question]:
    """The questions of a file; with their references from another one, of the form of answers. BadInput for a double one."""
    questions: dict[Id, Question] = {}
    for place, question in read_given(path, Question):
        if question.question_id in questions:
            raise BadInput(f"question {question.question_id} comes again", place)
        questions[question.question_id] = question
    if references is not None:
        texts, _ = _texts(references)
        for id in texts.keys() & questions.keys():
            questions[id] = questions[id].model_copy(update={"reference": tuple(texts[id])})
    return list(questions.values())


def read_answers(path: Path, questions: list[Question]) -> list[Answer]:
    """One model's answers to the questions, in their order; those to other questions are left alone.

    BadInput where a question has no answer, one too few or many, or two, and where the file holds several models.
    """
    texts, model = _texts(path)
    if missing := [question.question_id for question in questions if question.question_id not in texts]:
        raise BadInput(f"{len(missing)} of {len(questions)} questions have no answer: {few(missing)}", path)
    answers = []
    for question in questions:
        id, turns = question.question_id, texts[question.question_id]
        if len(turns) != len(question.turns):
            raise BadInput(f"question {id} has {len(question.turns)} turns, its answer {len(turns)}", path)
        answers.append(Answer(id=str(id), question_id=id, model_id=model, choices=(Choice(turns=tuple(turns)),)))
    return answers


def _texts(path: Path) -> tuple[dict[Id, list[str]], str]:
    """(texts of the turns by question, the model) of a file of answers."""
    texts: dict[Id, list[str]] = {}
    models: set[str] = set()
    for place, row in read_given(path, _Answer):
        models.add(row.model_id)
        if len(models) > 1:
            raise BadInput(f"answers of several models: {', '.join(sorted(models))}", place, "one file for each model")
        if row.question_id in texts:
            raise BadInput(f"question {row.question_id} is answered again", place)
        texts[row.question_id] = row.choices[0].turns
    return texts, models.pop()


def read_judgements(path: Path, questions: list[Question]) -> Scores:
    """Scores of a file of lines {question_id, turn, score}; null, or -1 as the published program writes it, is none.

    BadInput for a score off the scale of 1 to 10, for a turn that no question has, and for one that is judged twice.
    """
    turns = {question.question_id: len(question.turns) for question in questions}
    scores: Scores = {}
    for place, row in read_given(path, _Judged):
        key, score = (row.question_id, row.turn), None if row.score == NO_SCORE else row.score
        if row.turn > turns.get(row.question_id, 0):
            raise BadInput(f"the questions have no turn {row.turn} of question {row.question_id}", place)
        if key in scores:
            raise BadInput(f"turn {row.turn} of question {row.question_id} is judged again", place, "one model a file")
        if score is not None and not 1 <= score <= 10:
            raise BadInput(f"score: {score:g} is not on the scale from 1 to 10", place, "write null for none")
        scores[key] = score
    return scores
