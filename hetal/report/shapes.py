"""What a record's files must hold for the report: checked as they are parsed, so that all that follows may trust it.

Less is asked than by a run that goes on with its record (`hetal.contents`): fields that no number is made of may be
absent or new.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from hetal.rounds import Count, Share

STRICT = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Row(TypedDict):
    """One line of rounds.jsonl, see `hetal.rounds.Round`."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    round: Count
    n_labelled: Annotated[int, Field(ge=1)]
    accuracy: Share
    seconds: dict[str, float]
    n_bought: Count
    clean_share: NotRequired[Share | None]
    n_distinct: NotRequired[Count | None]
    bought_per_class: NotRequired[list[Count] | None]
    ece: NotRequired[float | None]
    peak_memory_mb: NotRequired[float | None]


class Choices(TypedDict):
    """The options chosen; others than these too."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    alg: str
    data: str
    noise: str
    model: str


class Session(TypedDict):
    """One start of a run."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    machine: dict[str, Any]


class About(TypedDict):
    """What provenance.json holds."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    data: str
    choices: Choices
    made_by: dict[str, str]
    source: dict[str, str | None]
    sessions: Annotated[list[Session], Field(min_length=1)]
    settings: NotRequired[dict[str, Any]]


class Summary(TypedDict):
    """What summary.json holds."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    n_rounds: int
    base_rate: Share
    queried_clean_share: Share | None
    area_under_curve: NotRequired[Share]
    final_accuracy: NotRequired[Share]


ROWS: TypeAdapter[Any] = TypeAdapter(list[Row])
ABOUT: TypeAdapter[Any] = TypeAdapter(About)
SUMMARY: TypeAdapter[Any] = TypeAdapter(Summary)
OVERRIDES: TypeAdapter[list[str]] = TypeAdapter(list[str])
