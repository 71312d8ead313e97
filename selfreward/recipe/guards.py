"""What a run watches itself for, and what it does then. The paper has no part in it, but for the collapse that it describes."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from selfreward.recipe.fields import Part, Positive, Section, cited


def _word(value: object) -> object:
    """YAML reads `off` as a no."""
    return "off" if value is False else value


Action = Annotated[Literal["warn", "stop", "off"], BeforeValidator(_word)]
_WARN = "a hint to look: warn says it on stderr and keeps it with the run; stop ends the run there; off does not look"


class Guard(Section):
    """What is done where a limit is passed; the limit is the guard's own."""

    action: Action = cited("warn", _WARN)


class Loss(Guard):
    """A training that explodes. One whose loss is nan or infinite ends in any case."""

    action: Action = cited("stop", "the model that it would end in is no start for another round")
    limit: Positive = cited(
        3.0, "nats by which the loss is above its first; batches of one healthy training are within 1.4 of another"
    )


class Likelihood(Guard):
    """DPO that takes probability from both responses: what it gives it to is in neither."""

    limit: Positive = cited(
        0.5,
        "of the reference's log-prob of the chosen ones, by which it has fallen, where that of the rejected fell as well; "
        "a share, since log-probs grow with length; in recipe micro that of the chosen rises, by a twentieth at most",
    )


class Pairs(Guard):
    """A round that leaves next to nothing to learn from. One without a pair ends in any case."""

    limit: Part = cited(
        0.1,
        "pairs to a prompt; 0.5 to 0.96 in the two rounds of recipe micro, 0.2 to 0.27 in a fourth",
    )


class Readable(Guard):
    """A judge that does not give its verdict in the form asked for."""

    limit: Part = cited(0.9, "of the votes of a round; a trained judge misses one in thousands")


class Ties(Guard):
    """A judge that does not tell responses apart."""

    limit: Part = cited(
        0.85,
        "of the pairs of responses to a prompt; 0.56 to 0.69 where recipe micro ends, 0.83 to 0.89 two rounds on",
    )


class OneScore(Guard):
    """A judge that always says the same: 4 without EFT (section 3.2), 5 once it likes all that its model writes."""

    limit: Part = cited(
        0.9, "of the readable votes of a round; 0.67 to 0.81 where recipe micro ends, 0.90 to 0.93 two rounds on"
    )


class Entropy(Guard):
    """The same, where no one score has it all."""

    limit: Positive = cited(
        0.5,
        "bits, of the scores of a round; a choice of two at 8 to 1; 1.2 to 1.8 where recipe micro ends, 0.6 to 0.8 later",
    )


class Length(Guard):
    """Responses that grow, or shrink, from round to round: judges like length (section 3.2)."""

    limit: Positive = cited(
        2.0,
        "times the characters of the round before, of the IFT seed's in the first, or one part in as many; the paper's own "
        "responses grow 1.4 and 1.6 times a round (table 1)",
    )


class Duplicates(Guard):
    """A model that has one answer to a prompt, however often it is sampled."""

    limit: Part = cited(
        0.5,
        "of the responses, those that repeat another to their prompt; 0.03 to 0.13 in four rounds of the micro-world",
    )


class Guards(Section):
    """What a run watches itself for."""

    loss: Loss = cited(Loss(), Loss.__doc__ or "")
    likelihood: Likelihood = cited(Likelihood(), Likelihood.__doc__ or "")
    pairs: Pairs = cited(Pairs(), Pairs.__doc__ or "")
    readable: Readable = cited(Readable(), Readable.__doc__ or "")
    ties: Ties = cited(Ties(), Ties.__doc__ or "")
    one_score: OneScore = cited(OneScore(), OneScore.__doc__ or "")
    entropy: Entropy = cited(Entropy(), Entropy.__doc__ or "")
    length: Length = cited(Length(), Length.__doc__ or "")
    duplicates: Duplicates = cited(Duplicates(), Duplicates.__doc__ or "")
