"""Commands that run what is missing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hetal.machine.installation import COMMAND
from hetal.record.overrides import as_needed
from hetal.report.load.printable import plain
from hetal.report.load.records import Run, config_dirs, overrides

# Overrides about how to run, not what: the command of a missing run needs none of them.
HOW = ("force", "dry_run", "fail_fast")

# How a command says where it finds configs beside hetal's own.
CONFIG_DIR, SEARCHPATH = "--config-dir", "hydra.searchpath="


def command(run: Run, seed: int | None = None) -> str:
    """Return the command that continues a run, or runs the same at another seed, with its record where it is now."""
    given = kept(run.overrides, *(["seed"] if seed is None else []))
    if seed is not None:
        given.append(f"seed={seed}")
    study = run.folder.parent
    if run.name and study.name != run.name:
        given = [*(o for o in given if not o.startswith("name=")), f"name={study.name}"]
    if run.root and str(study.parent) != _whole(run.root):
        given = [
            *(o for o in given if not o.startswith("root=")),
            f"root={_quoted(_from_here(study.parent))}",
        ]
    return command_line(given, run.config_dirs)


def _whole(root: str) -> str:
    """Return the absolute path of a record's root, without access to it."""
    return os.path.abspath(os.path.expanduser(root) if root.split("/", 1)[0] == "~" else root)


def _from_here(folder: Path) -> str:
    """Return a folder as a command names it: from the current one where it is inside."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)


def command_line(given: Sequence[str], config_dirs: Sequence[str] = ()) -> str:
    """Return the command with some overrides, quoted for a shell.

    Args:
        given: the overrides.
        config_dirs: where it finds configs beside hetal's own.
    """
    return plain(shlex.join([*COMMAND, *_finding(config_dirs), *given]), None)


def _finding(config_dirs: Sequence[str]) -> list[str]:
    """Return the words by which Hydra finds configs; --config-dir takes one folder only."""
    where = [one if "://" in one else _from_here(Path(one)) for one in config_dirs]
    if len(where) == 1 and "://" not in where[0]:
        return [CONFIG_DIR, *where]
    return [f"{SEARCHPATH}[{','.join(map(_quoted, where))}]"] if where else []


def overrides_in(command: str) -> list[str]:
    """Return the overrides in a command that `command_line` made."""
    words = shlex.split(command)[len(COMMAND) :]
    words = words[2:] if words[:1] == [CONFIG_DIR] else words
    return [word for word in words if not word.startswith(SEARCHPATH)]


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
    with suppress(Exception):  # a damaged file raises errors of many classes
        given = [*kept(overrides(folder), "seed"), "force=true"]
        where: Sequence[str] = ()
        with suppress(Exception):
            where = config_dirs(folder)
        return command_line(given, where)
    return ""


def key_of(given: Sequence[str]) -> frozenset[str]:
    """Return the overrides by which two commands of one run are matched, also after its study has been moved."""
    return frozenset(
        re.sub(r"^mult=x?(?=[\d.]+$)", "mult.factor=", o)
        for o in kept(given, "seed")
        if not o.startswith("root=")
    )
