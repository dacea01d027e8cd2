"""Schema of the record files that the report reads; checked while parsing.

It is laxer than that of a run that continues its record (`hetal.record.reader`): fields that the report does not use
may be absent or new.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from hetal.record.schema import Share

STRICT = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

# The largest integer accepted: floats represent integers exactly up to here.
LARGEST = 2**53

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[float, Field(ge=0, le=1e12)]
# The name of a phase of a round; it becomes the heading of a column.
Phase = Annotated[str, Field(pattern=r"^[\w./ -]{1,40}$")]


class Row(TypedDict):
    """One line of rounds.jsonl, see `hetal.record.schema.Round`."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    round: Count
    n_labelled: Annotated[int, Field(ge=1, le=LARGEST)]
    accuracy: Share
    seconds: NotRequired[Annotated[dict[Phase, Amount], Field(max_length=20)]]
    n_asked: NotRequired[Count]
    n_bought: NotRequired[Count]
    clean_share: NotRequired[Share | None]
    n_distinct: NotRequired[Count | None]
    bought_per_class: NotRequired[Annotated[list[Count], Field(max_length=100_000)] | None]
    ece: NotRequired[Share | None]
    peak_memory_mb: NotRequired[Amount | None]
    n_pseudo: NotRequired[Count | None]
    n_pseudo_noisy: NotRequired[Count | None]
    pseudo_accuracy_clean: NotRequired[Share | None]
    pseudo_accuracy_noisy: NotRequired[Share | None]


class Choices(TypedDict):
    """The option chosen in each config group; other groups are allowed."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]
    alg: str
    data: str
    noise: str
    model: str


class Session(TypedDict):
    """One start of a run."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    machine: NotRequired[dict[str, Any]]


class Provenance(TypedDict):
    """The fields of provenance.json."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    choices: Choices
    data: NotRequired[str]
    made_by: NotRequired[dict[str, Any]]
    source: NotRequired[dict[str, Any]]
    sessions: NotRequired[list[Session]]
    settings: NotRequired[dict[str, Any]]


class Summary(TypedDict):
    """The fields of summary.json."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    n_rounds: int
    base_rate: NotRequired[Share]
    queried_clean_share: NotRequired[Share | None]
    area_under_curve: NotRequired[Share]
    final_accuracy: NotRequired[Share]


ROWS: TypeAdapter[Any] = TypeAdapter(list[Row])
PROVENANCE: TypeAdapter[Any] = TypeAdapter(Provenance)
SUMMARY: TypeAdapter[Any] = TypeAdapter(Summary)
OVERRIDES: TypeAdapter[list[str]] = TypeAdapter(Annotated[list[str], Field(max_length=1000)])
