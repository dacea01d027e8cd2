"""Schema of the record files that the report reads; checked while parsing.

It is laxer than that of a run that continues its record (`hetal.record.reader`): fields that the report does not use
may be absent or new.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict, get_type_hints

from hetal.record.schema import Count, PerClass, PerKind, Round, Summary

STRICT = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


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
    config_dirs: NotRequired[Annotated[list[str], Field(max_length=100)]]


class Pool(TypedDict):
    """What the pool holds, see `hetal.record.schema.PoolContent`."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    rows: NotRequired[Count]
    images: NotRequired[Count]
    right: NotRequired[Count]
    clean_per_class: NotRequired[PerClass]
    images_per_class: NotRequired[PerClass]
    test_per_class: NotRequired[PerClass]
    rejected: NotRequired[Count]
    kinds: NotRequired[PerKind]
    regions: NotRequired[PerClass]
    noisy_per_region: NotRequired[PerClass]


class Provenance(TypedDict):
    """The fields of provenance.json."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    choices: Choices
    data: NotRequired[str]
    made_by: NotRequired[dict[str, Any]]
    source: NotRequired[dict[str, Any]]
    sessions: NotRequired[list[Session]]
    settings: NotRequired[dict[str, Any]]
    sees: NotRequired[list[str]]
    classes: NotRequired[list[str]]
    pool: NotRequired[Pool]


def part_of(kind: type[Any], needed: Collection[str], optional: Collection[str]) -> Any:
    """Return the type of JSON objects that hold some fields of a class of `hetal.record.schema`, and any others.

    Args:
        kind: its annotations say what a field holds.
        needed: fields that must be there.
        optional: fields that may be absent.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = {name: hints[name] for name in needed} | {name: NotRequired[hints[name]] for name in optional}
    make: Any = TypedDict
    made = make(kind.__name__, fields)
    made.__pydantic_config__ = STRICT
    return made


ROW = part_of(
    Round,
    needed=("round", "n_labelled", "accuracy"),
    optional=(
        "seconds", "n_asked", "n_bought", "clean_share", "n_distinct", "bought_per_class", "ece", "peak_memory_mb",
        "n_pseudo", "n_pseudo_noisy", "pseudo_accuracy_clean", "pseudo_accuracy_noisy", "right_share", "n_rejected",
        "bought_per_kind", "bought_per_region", "cost", "measures",
    ),
)  # fmt: skip
ROWS: TypeAdapter[Any] = TypeAdapter(list[ROW])  # type: ignore[valid-type]
PROVENANCE: TypeAdapter[Any] = TypeAdapter(Provenance)
SUMMARY: TypeAdapter[Any] = TypeAdapter(
    part_of(
        Summary,
        needed=("n_rounds",),
        optional=("base_rate", "queried_clean_share", "area_under_curve", "final_accuracy"),
    )
)
OVERRIDES: TypeAdapter[list[str]] = TypeAdapter(Annotated[list[str], Field(max_length=1000)])
