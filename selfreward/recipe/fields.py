"""What the sections of a recipe are made of: a strict base, numbers with bounds, and defaults that cite their source."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_truth_value(value: object) -> object:
    """Refuses yes and no, which pydantic would read as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not yes or no")
    return value


def cited(default: Any, reason: str, **bounds: Any) -> Any:
    """A field's default with its source: a section of the paper, or why another value; `bounds` are pydantic's."""
    return Field(default, description=reason, **bounds)


# The bounds stand first: behind a validator pydantic knows them, and JSON Schema does not.
Whole = Annotated[int, Field(ge=0), BeforeValidator(_no_truth_value)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_truth_value)]
AtLeastTwo = Annotated[int, Field(ge=2), BeforeValidator(_no_truth_value)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_truth_value)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_truth_value)]
Temperature = Annotated[float, Field(ge=0, le=10), BeforeValidator(_no_truth_value)]  # 0 is greedy
Share = Annotated[float, Field(gt=0, le=1), BeforeValidator(_no_truth_value)]
Part = Annotated[float, Field(ge=0, le=1), BeforeValidator(_no_truth_value)]
Dropout = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_no_truth_value)]


class Section(BaseModel):
    """Frozen and strict; numbers written as text (`1e-6` in YAML) are read as the numbers they are."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
