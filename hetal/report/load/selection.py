"""The runs that names given on a command line choose, by strategy, data, noise and network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hetal.errors import BadInput
from hetal.report.load.labelling import noise_of
from hetal.report.load.names import BOUND, Names
from hetal.report.load.records import Run

# More names than this are not listed in a message.
MOST = 40


@dataclass(frozen=True)
class Selection:
    """What to choose, all where empty; each text is one name, or several with commas between them.

    Attributes:
        alg: strategies.
        data, noise, model: parts of a setting, or names of settings.
    """

    alg: Sequence[str] = field(default=())
    data: Sequence[str] = field(default=())
    noise: Sequence[str] = field(default=())
    model: Sequence[str] = field(default=())


def chosen(runs: Sequence[Run], selection: Selection, names: Names) -> list[Run]:
    """Return the runs that are of a name of every kind.

    Names are those that the report shows, or those of options; where nothing has a name, what begins with it counts,
    so that "symmetric" chooses "symmetric 0.2" and "symmetric 0.4".

    Args:
        runs: with the names that the report shows.
        selection: what to choose.
        names: that the user gave; the report's own names of strategies and settings choose too.

    Raises:
        BadInput: no run has one of the names, or none has all.
    """
    called: dict[str, Callable[[Run], list[str]]] = {
        "alg": lambda run: [run.label, run.label.removesuffix(BOUND), run.choices["alg"]],
        "data": lambda run: [run.choices["data"], run.setting],
        "noise": lambda run: [noise_of(run), run.choices["noise"], run.setting],
        "model": lambda run: [run.choices["model"], run.setting],
    }
    kept = list(runs)
    for option, of_run in called.items():
        if given := getattr(selection, option):
            of_runs = {id(run): of_run(run) for run in runs}
            renamed = {**names.strategies} if option == "alg" else {**names.settings}
            wanted = _wanted(f"--{option}", given, of_runs.values(), renamed)
            kept = [run for run in kept if wanted & {*of_runs[id(run)]}]
    if not kept:
        given = [
            f"--{option} {','.join(value)}" for option in called if (value := getattr(selection, option))
        ]
        raise BadInput(f"no run is of {' and '.join(given)}")
    return kept


def _wanted(
    option: str, given: Sequence[str], of_runs: Collection[Sequence[str]], renamed: Mapping[str, str]
) -> set[str]:
    """Return the names that an option chooses, of those that runs have."""
    known = {name for names in of_runs for name in names}

    def meant(name: str) -> set[str]:
        if exact := {name, renamed.get(name, name)} & known:
            return exact
        return {other for other in known if name and other.startswith((f"{name} ", f"{name},"))}

    wanted: set[str] = set()
    for text in given:
        parts = [part.strip() for part in text.split(",")]
        while parts:
            # A name may hold commas: the longest that there is counts.
            for n in range(len(parts), 0, -1):
                if found := meant(", ".join(parts[:n])) | meant(",".join(parts[:n])):
                    break
            else:
                there = sorted({names[0] for names in of_runs})
                more = f", and {len(there) - MOST} more" if len(there) > MOST else ""
                raise BadInput(
                    f"{option} {parts[0]}: no run is of it; there are {', '.join(there[:MOST])}{more}"
                )
            wanted |= found
            parts = parts[n:]
    return wanted
