"""The settings of a run: name, type, help, and whether a setting can change the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap
from typing import Annotated, Any

from annotated_types import Interval


@dataclass(frozen=True)
class Setting:
    """One setting of every run.

    Attributes:
        name: as typed on the command line.
        type: annotation of its values; None for a config group, whose options have their own settings.
        help: one line.
        changes_result: whether changing it alone can change a bit of a run's rounds and purchases. Only such settings
            identify a run.
    """

    name: str
    type: Any
    help: str
    changes_result: bool


SETTINGS = (
    Setting("data", None, "the data set", True),
    Setting("noise", None, "how the pool is corrupted", True),
    # Identified by noise.factor, which is computed from it.
    Setting("mult", None, "noisy rows per clean row: x1, x1.5, x2, x4, x8; or a number", False),
    Setting("oracle", None, "what asking again for an image gives: persistent, fresh", True),
    Setting("model", None, "the network", True),
    Setting("optimizer", None, "how its weights are updated: adam, adamw, sgd, torch", True),
    Setting("schedule", None, "the learning rate over epochs", True),
    Setting("train", None, "how it is trained", True),
    Setting("finetune", None, "fine-tuning on pseudo-labels", True),
    Setting("start", None, "how the first labels are chosen", True),
    Setting("alg", None, "the query strategy", True),
    Setting("tracker", None, "where learning curves are shown: wandb, none", False),
    Setting(
        "n_start", int | None, "labels to start with; each data set brings its own; null: from its size", True
    ),
    Setting("n_query", int | None, "labels to buy each round", True),
    # A run with a larger n_end is the same run up to the smaller one.
    Setting("n_end", int | None, "labels to end with", False),
    Setting("seed", Annotated[int, Interval(ge=-(2**63), le=2**63 - 1)], "of every random stream", True),
    Setting("measures", dict[Any, Any], "of the test predictions, functions of your own by name", False),
    Setting("device", str, "auto, cpu, cuda or mps", False),
    Setting("jobs_per_gpu", int, "how many runs may share one GPU; each takes the emptiest, or waits", False),
    Setting("threads", int, "of the CPU; their number changes the order of sums, and so the result", True),
    Setting("name", str | int, "folder of the study under root", False),
    Setting("root", str | int, "folder of all studies", False),
    Setting("force", bool, "run again what is finished", False),
    Setting("dry_run", bool, "check all, say what would run and for how long, and run nothing", False),
    Setting("keep_network", bool, "leave the weights of the last round's network", False),
    Setting("profile", bool, "leave traces of the first round: which operations take the time", False),
    Setting("fail_fast", bool, "in a sweep, start no other job once one has failed", False),
)

# Settings inside groups that cannot change a result, of groups that otherwise can.
CHANGES_NOTHING_INSIDE = (
    "data.root",
    "data.download",
    "data.name",
    "noise.name",
    "alg.name",
    "train.checkpoint_minutes",
)

GROUPS = tuple(setting.name for setting in SETTINGS if setting.type is None)

PLAIN = {setting.name: setting.type for setting in SETTINGS if setting.type is not None}

CHANGES_NOTHING = (
    *(setting.name for setting in SETTINGS if not setting.changes_result),
    *CHANGES_NOTHING_INSIDE,
)


def table_of(settings: Iterable[Setting], width: int = 110) -> str:
    """Return names and help as lines of text, in two columns."""
    settings = list(settings)
    first = max(len(setting.name) for setting in settings) + 2
    lines = []
    for setting in settings:
        head, *rest = wrap(setting.help, width - first - 4)
        lines += [f"  {setting.name:{first}}{head}", *(f"  {'':{first}}{line}" for line in rest)]
    return "\n".join(lines)
