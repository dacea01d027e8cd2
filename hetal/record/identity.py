"""Identity of a run: a hash of all settings that can change its result, and readable names.

Files and folders count by their content, not by their name: a setting called `path` or `weights`, or whose name ends in
`_path`, is replaced by a digest of what the path leads to.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput, reason_of
from hetal.record.digests import digest_of
from hetal.record.seal import short_hash
from hetal.record.settings import CHANGES_NOTHING

# Letters of each name in titles and groups, which W&B limits, and in folders, whose names take 255 bytes in all.
LONGEST_NAME = 60
LONGEST_IN_FOLDER = 40


@dataclass(frozen=True)
class Identity:
    """Identity of one run.

    Attributes:
        settings: all settings that can change the result, the seed included; paths are replaced by content digests.
        hash: of `settings`.
        title: readable name, without the hash.
        group: name shared by the runs that differ only in the seed.
        dir: the run's folder.
    """

    settings: Mapping[str, Any]
    hash: str
    title: str
    group: str
    dir: Path


def identify(config: Mapping[str, Any], choices: Mapping[str, str]) -> Identity:
    """Return the identity of the run that a resolved config describes.

    Args:
        config: plain values.
        choices: the option chosen in each config group.

    Raises:
        BadInput: `name` is not a plain folder name, or a file that a setting names cannot be read.
    """
    name = str(config["name"])
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise BadInput(f"name={name}: must be one folder name of letters, digits, '.', '_', '+' and '-'")
    _check_apart(config)
    settings = with_content_digests(identifying_settings(config))
    without_seed = {key: value for key, value in settings.items() if key != "seed"}
    names = [_readable(choices[group]) for group in ("alg", "data", "noise")]
    parts = [*names, *times(config["noise"]), _readable(choices["model"])]
    seed = f"s{config['seed']}"
    folder = "-".join([*map(in_folder, parts), seed, settings_hash(settings)])
    return Identity(
        settings=settings,
        hash=settings_hash(settings),
        title=" ".join([*parts, seed]),
        group=" ".join([*parts, settings_hash(without_seed)]),
        dir=Path(str(config["root"])).expanduser() / name / folder,
    )


def _check_apart(config: Mapping[str, Any]) -> None:
    """Refuse data in a folder that runs write into, as its content would change with every run."""
    data = config.get("data") or {}
    path = data.get("path")
    if not isinstance(path, str) or not os.path.isdir(folder := os.path.expanduser(path)):
        return
    for name, root in (("root", config["root"]), ("data.root", data.get("root"))):
        if isinstance(root, str) and "\0" not in root:
            inside = Path(os.path.realpath(os.path.expanduser(root)))
            if Path(os.path.realpath(folder)) in (inside, *inside.parents):
                raise BadInput(f"data.path={path}: {name}={root} is in it; {name}=FOLDER names another")


def times(noise: Mapping[str, Any]) -> list[str]:
    """Return the factor of a noise as names have it, such as ["x4"]; [] where its settings hold none."""
    factor = noise.get("factor")
    is_number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
    return [f"x{factor:g}"] if is_number else []


def in_folder(name: str) -> str:
    """Return a name as the name of a run's folder has it."""
    return re.sub(r"[^\w.+-]", "_", _readable(name).replace(" + ", "+"))[:LONGEST_IN_FOLDER]


def _readable(name: str) -> str:
    return re.sub(r"[^\w .+-]", "_", name)[:LONGEST_NAME].strip()


def identifying_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a resolved config that can change a result; paths stay as typed, no file is read."""
    # 4 and 4.0 are the same setting, and JSON has no infinity and no NaN.
    settings: dict[str, Any] = json.loads(
        json.dumps(config), parse_float=lambda x: _number(float(x)), parse_constant=str
    )
    for path in CHANGES_NOTHING:
        *parents, key = path.split(".")
        node = settings
        for parent in parents:
            node = node.get(parent, {})
        node.pop(key, None)
    return settings


def with_content_digests(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with paths replaced by content digests; a path that leads nowhere stays as it is.

    Raises:
        BadInput: names the setting whose file or folder cannot be read.
    """
    return {key: _with_content_digests(key, value, key) for key, value in settings.items()}


def data_files(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the files under `data.root` that `data.files` lists and that exist.

    They are not part of a run's identity, since they may have to be downloaded first.

    Raises:
        BadInput: a file cannot be read.
    """
    data = config.get("data") or {}
    names, root = data.get("files"), data.get("root")
    if not isinstance(names, list) or not isinstance(root, str):
        return {}
    try:
        digests = {str(name): digest_of(Path(os.path.expanduser(root)) / str(name)) for name in names}
    except OSError as error:
        raise BadInput(f"data.root={root}: cannot be read: {error.strerror or error}") from None
    return {name: digest for name, digest in digests.items() if digest is not None}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits that identify plain settings, whatever their order."""
    return short_hash(json.dumps(settings, sort_keys=True).encode())


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ between two runs: "train.clip" to its two values, None for an absent one."""
    differing: dict[str, tuple[Any, Any]] = {}
    for key in sorted(one.keys() | other.keys()):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            differing |= {f"{key}.{inner}": pair for inner, pair in differences(a, b).items()}
        elif a != b or (key in one) != (key in other):
            differing[key] = (a, b)
    return differing


def _with_content_digests(key: str, value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {
            inner: _with_content_digests(inner, below, f"{where}.{inner}") for inner, below in value.items()
        }
    if isinstance(value, list):
        return [_with_content_digests(key, item, f"{where}[{i}]") for i, item in enumerate(value)]
    names_file = key in ("path", "weights") or key.endswith("_path")
    if not isinstance(value, str) or not value or not names_file:
        return value
    try:
        digest = digest_of(Path(os.path.expanduser(value)))
    except ValueError:  # not a possible file name
        return value
    except OSError as error:
        raise BadInput(f"{where}={value}: cannot be read: {reason_of(error)}") from None
    return value if digest is None else f"content {digest}"


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value
