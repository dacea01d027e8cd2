"""Commands that run what is missing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hetal.machine.installation import COMMAND
from hetal.record.overrides import as_needed
from hetal.report.load.printable import plain
from hetal.report.load.records import Run, overrides

# Overrides about how to run, not what: the command of a missing run needs none of them.
HOW = ("force", "dry_run", "fail_fast")


def command(run: Run, seed: int | None = None) -> str:
    """Return the command that continues a run, or runs the same at another seed, with its record where it is now."""
    given = kept(run.overrides, *(["seed"] if seed is None else []))
    if seed is not None:
        given.append(f"seed={seed}")
    study = run.folder.parent
    if run.name and study.name != run.name:
        given = [*(o for o in given if not o.startswith("name=")), f"name={study.name}"]
    if run.root and str(study.parent) != _whole(run.root):
        root = os.path.relpath(study.parent) if study.parent.is_relative_to(Path.cwd()) else str(study.parent)
        given = [*(o for o in given if not o.startswith("root=")), f"root={_quoted(root)}"]
    return command_line(given)


def _whole(root: str) -> str:
    """Return the absolute path of a record's root, without access to it."""
    return os.path.abspath(os.path.expanduser(root) if root.split("/", 1)[0] == "~" else root)


def command_line(given: Sequence[str]) -> str:
    """Return the command with some overrides, quoted for a shell."""
    return plain(shlex.join([*COMMAND, *given]), None)


def kept(given: Sequence[str], *keep: str) -> list[str]:
    """Return overrides as typed, without those in `HOW`, and without the seed unless `keep` names it."""
    dropped = {*HOW, *({"seed"} - set(keep))}
    return [o for o in as_needed(given) if o.split("=", 1)[0].lstrip("+") not in dropped]


def _quoted(value: str) -> str:
    """Return a value quoted for Hydra's grammar."""
    if re.fullmatch(r"[\w./+-]+", value):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return f"'{escaped}'"


def command_again(folder: Path) -> str:
    """Return the command that makes a damaged record again; empty where its overrides cannot be read either."""
    try:
        return command_line([*kept(overrides(folder), "seed"), "force=true"])
    except Exception:  # a damaged file raises errors of many classes
        return ""


def key_of(given: Sequence[str]) -> frozenset[str]:
    """Return the overrides by which two commands of one run are matched, also after its study has been moved."""
    return frozenset(
        re.sub(r"^mult=x?(?=[\d.]+$)", "mult.factor=", o)
        for o in kept(given, "seed")
        if not o.startswith("root=")
    )
