"""The schema of a record: a line of rounds.jsonl, a purchase, summary.json and provenance.json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from typing_extensions import NotRequired, TypedDict

if TYPE_CHECKING:  # torch takes seconds to import, which readers of records do not need
    from torch import Tensor

START = -1  # the "round" in which the start set was bought

# What the oracle answers to a query of a row that is of no class of the task: it costs, and gives no label.
REJECT = -1

# What `Provenance.sees` says of what chose rows with hidden labels.
SEES_LABELS = "sees hidden labels: a bound"


def is_of_bound(sees: Iterable[str]) -> bool:
    """Tell whether `Provenance.sees` says that the strategy saw hidden labels."""
    return any(what.startswith("alg=") and what.endswith(SEES_LABELS) for what in sees)


def marked(name: str, sees: Iterable[str]) -> str:
    """Return the name of a strategy, marked where `Provenance.sees` says that it saw hidden labels."""
    return f"{name} (bound)" if is_of_bound(sees) else name


# Fields that describe the machine, not the result: they differ between two runs of one config. The digest covers
# them, so it differs too.
MEASURED = ("seconds", "peak_memory_mb", "digest")

# The largest number of a record: floats represent integers exactly up to here.
LARGEST = 2**53

# Fields of a round on its purchase that are null where nothing was bought.
OF_A_PURCHASE = (
    "clean_share", "right_share", "n_distinct", "n_rejected", "bought_per_class", "bought_per_kind",
    "bought_per_region", "cost",
)  # fmt: skip

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Amount = Annotated[float, Field(ge=0, le=1e12)]
# The name of a phase of a round; it becomes the heading of a column.
Phase = Annotated[str, Field(pattern=r"^[\w./ -]{1,40}$")]
Seconds = Annotated[dict[Phase, Amount], Field(max_length=20)]
PerClass = Annotated[list[Count], Field(max_length=100_000)]
# The name of a measure of the user's own, see `hetal.guard.measures`; it becomes part of names of files and columns.
NAME_OF_MEASURE = r"[a-z][a-z0-9_]{0,39}"
MOST_MEASURES = 20
OwnMeasures = Annotated[
    dict[
        Annotated[str, Field(pattern=rf"^{NAME_OF_MEASURE}$")],
        Annotated[float, Field(ge=-LARGEST, le=LARGEST)],
    ],
    Field(max_length=MOST_MEASURES),
]
# By the name of a noise setting, or "clean".
PerKind = Annotated[dict[Annotated[str, Field(max_length=200)], Count], Field(max_length=256)]


@dataclass(frozen=True)
class Round:
    """One line of `rounds.jsonl`: the network of a round, its test metrics, and its purchase.

    Shares and accuracies are in [0, 1]. Fields on the purchase are null if nothing was bought.

    Attributes:
        round: 0, 1, ...
        n_labelled: all rows that were bought before, at the cost of a label each; trained on, but for those rejected.
        accuracy, balanced_accuracy, macro_f1, nll, ece: on the clean test set, see `hetal.evaluate`.
        train_accuracy: online accuracy of the last epoch before any fine-tuning.
        epochs, steps, restarts: of training, fine-tuning included.
        snapshot_epoch: epoch of the pair that LHD compares; null for other strategies.
        n_pseudo, pseudo_accuracy: number of pseudo-labelled rows fine-tuned on, and the share whose pseudo-label equals
            the hidden label; null without fine-tuning.
        n_pseudo_noisy: number of noisy rows among them; null without fine-tuning.
        pseudo_accuracy_clean, pseudo_accuracy_noisy: the same share among clean and among noisy rows; null if there are
            none.
        n_asked: rows that the query asked for at the end of the round; 0 in the last.
        n_bought: rows bought; fewer than `n_asked` if the strategy stopped early.
        clean_share: share of clean rows among the rows bought.
        n_distinct: distinct images among the rows bought.
        bought_per_class: number of rows bought with each label.
        right_share: share of rows among those bought whose label is the right one.
        n_rejected: rows bought that are of no class of the task, and gave no label.
        bought_per_kind: number of rows bought that are "clean", and of each noise by name.
        bought_per_region: number of rows bought in each region of the noise; null where it has none.
        cost: what the rows bought cost together, where the data say what a label costs.
        seconds: wall time by phase.
        peak_memory_mb: peak memory of the round in MiB, see `hetal.machine.memory`; null if not known.
        measures: of the user's own on the clean test set, by name; null without any.
        queries_digest: of all rows bought up to and including this round, see `hetal.record.seal.queries_digests`.
        digest: of this line and those before it, see `hetal.record.seal`. Both digests are filled in by the record.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    round: Count
    n_labelled: Positive
    accuracy: Share
    balanced_accuracy: Share
    macro_f1: Share
    nll: Amount
    ece: Share
    train_accuracy: Share
    epochs: Count
    steps: Count
    restarts: Count
    snapshot_epoch: Count | None
    n_pseudo: Count | None
    pseudo_accuracy: Share | None
    n_asked: Count
    n_bought: Count
    clean_share: Share | None
    n_distinct: Count | None
    bought_per_class: PerClass | None
    seconds: Seconds
    peak_memory_mb: Amount | None = None
    n_pseudo_noisy: Count | None = None
    pseudo_accuracy_clean: Share | None = None
    pseudo_accuracy_noisy: Share | None = None
    right_share: Share | None = None
    n_rejected: Count | None = None
    bought_per_kind: PerKind | None = None
    bought_per_region: PerClass | None = None
    cost: Amount | None = None
    measures: OwnMeasures | None = None
    queries_digest: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Purchase:
    """The rows bought in one round, as parallel (n,) arrays: ids, labels, images shown (`source`), noise flags."""

    ids: Tensor
    labels: Tensor
    source: Tensor
    is_noisy: Tensor


class Summary(TypedDict):
    """Contents of `summary.json`; shares and accuracies are in [0, 1].

    Keys:
        area_under_curve: area under the learning curve (AULC), the mean accuracy over labels.
        final_accuracy: of the last round.
        n_labelled: labels paid for before the last round.
        n_rounds: networks trained.
        queried_clean_share: share of clean rows among all that queries bought; null if they bought none.
        base_rate: share of clean rows in the whole pool; null if not known.
        seconds: wall time of all rounds, by phase.
        digest: of the file, see `hetal.record.seal`; filled in by the record.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # type: ignore[misc]

    area_under_curve: Share
    final_accuracy: Share
    n_labelled: Count
    n_rounds: Count
    queried_clean_share: Share | None
    base_rate: Share
    seconds: Seconds
    digest: NotRequired[str]


class PoolContent(TypedDict, total=False):
    """What the pool of a run holds, in numbers of rows; empty in old records.

    Keys:
        rows: of the pool.
        images: distinct ones that they show.
        right: rows that sell the right label.
        clean_per_class: clean rows of each class.
        images_per_class: distinct images of each right class, those of noisy rows included, without those of none.
        test_per_class: rows of each class in the test set.
        rejected: rows that sell none.
        kinds: rows that are "clean", and of each noise by name.
        regions: rows in each region; absent where the noise has none.
        noisy_per_region: noisy rows in each region.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]

    rows: Count
    images: Count
    right: Count
    clean_per_class: PerClass
    images_per_class: PerClass
    test_per_class: PerClass
    rejected: Count
    kinds: PerKind
    regions: PerClass
    noisy_per_region: PerClass


@dataclass(frozen=True)
class Machine:
    """The machine that a session ran on.

    Attributes:
        environment: see `hetal.record.provenance.numerics_environment`; None in old records.
    """

    host: str
    system: str
    cores: int | None
    threads: int
    cpu: str
    device: str
    environment: dict[str, str] | None = None


@dataclass(frozen=True)
class Session:
    """One start of a run: when, with which packages, on what machine.

    Attributes:
        config_dirs: where its command found configs beside hetal's own, see `hetal.sweep.jobs.config_dirs`.
    """

    started: str
    python: str
    packages: dict[str, str | None]
    machine: Machine
    config_dirs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Provenance:
    """Contents of `provenance.json`.

    Attributes:
        id: random id of this record, drawn when it was begun.
        data: fingerprint of its data, see `hetal.experiment.Setup`.
        choices: the option chosen in each config group.
        made_by: see `hetal.record.provenance.made_by`.
        source: see `hetal.record.provenance.source`.
        sessions: every start, see `hetal.record.provenance.session`.
        settings: all settings that can change the result, see `hetal.record.identity`.
        files: digests of the files that the data were read from, see `hetal.record.identity.data_files`.
        sees: what its choices of rows saw besides the pool, see `hetal.experiment.Setup`: hidden labels, test inputs.
        classes: names of the classes, in order; empty where they are numbers only.
        pool: what the pool holds, all of it hidden from strategies.
    """

    id: str
    data: str
    choices: dict[str, str]
    made_by: dict[str, str]
    source: dict[str, str | None]
    sessions: list[Session]
    settings: dict[str, Any]
    files: dict[str, str]
    sees: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    pool: PoolContent = field(default_factory=PoolContent)
