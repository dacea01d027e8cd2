"""Splits of a Hugging Face dataset as Arrow tables: Parquet and Arrow files on disk, or a dataset of the hub.

Files are read by pyarrow, and only the columns that are asked for; nothing in them is run or unpickled.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput

NEEDS = "needs the package datasets: pip install 'hetal[huggingface]'"

# What `datasets` keeps beside the files of a dataset that was saved.
KEPT_BESIDE = re.compile(r"(\.|cache-|tmp).*")

# A name on the hub, of which those of files are told apart by their ends.
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
SUFFIXES = (".parquet", ".arrow")


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        schema: names and types of its columns, with what the hub's library says of them.
        read: returns the table of some of its columns.
    """

    schema: Any
    read: Callable[[Sequence[str]], Any]

    def described(self) -> dict[str, dict[str, Any]]:
        """Return how the hub's library describes each column, such as {"_type": "ClassLabel", "names": [...]}."""
        text = (self.schema.metadata or {}).get(b"huggingface", b"{}")
        columns = json.loads(text).get("info", {}).get("features", {})
        return {name: about for name, about in columns.items() if isinstance(about, dict)}


def read_splits(path: str, config: str | None, revision: str | None) -> dict[str, Split]:
    """Return the splits of a dataset by name.

    The split of a file is its name without the number of its part, or that of its folder where it has none.

    Args:
        path: a .parquet or .arrow file, a folder with such files, below it too, such as `save_to_disk` writes; or,
            where there is no such file or folder, a name on the hub, OWNER/NAME.
        config, revision: of a dataset of the hub.

    Raises:
        BadInput: there are no such files, or a package is not installed; the message does not name `data.path`.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise BadInput(NEEDS) from None
    folder = Path(os.path.expanduser(path))
    if not folder.exists():
        if HUB_NAME.fullmatch(path) and not path.endswith(SUFFIXES):
            return _on_hub(path, config, revision)
        raise BadInput("there is no such file or folder")
    files = [folder] if folder.is_file() else [file for file in _below(folder) if file.suffix in SUFFIXES]
    if not files or files[0].suffix not in SUFFIXES:
        raise BadInput(f"must be a file {' or '.join(SUFFIXES)}, or a folder with such files")
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(_split_of(file), []).append(file)
    return {name: _of_files(part) for name, part in parts.items()}


def _below(folder: Path) -> list[Path]:
    found = []
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(at, name) for name in names if not KEPT_BESIDE.fullmatch(name)]
    return sorted(found)


def _split_of(file: Path) -> str:
    name = re.sub(r"-\d+-of-\d+.*", "", file.stem)
    return file.parent.name if name == "data" or name.isdecimal() else name


def _of_files(files: Sequence[Path]) -> Split:
    import pyarrow as pa
    from pyarrow import parquet

    def read(file: Path, columns: Sequence[str]) -> Any:
        if file.suffix == ".parquet":
            return parquet.read_table(file, columns=list(columns), partitioning=None)
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_stream(source).read_all().select(columns)

    def schema(file: Path) -> Any:
        if file.suffix == ".parquet":
            return parquet.read_schema(file)
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_stream(source).schema

    def read_all(columns: Sequence[str]) -> Any:
        for file in files:
            if absent := [name for name in columns if name not in schema(file).names]:
                raise BadInput(f"{file} has no column {absent[0]}, which {files[0]} of the same split has")
        table = pa.concat_tables([read(file, columns) for file in files])
        table.validate(full=True)  # offsets in a damaged file may point beyond its memory
        return table

    return Split(schema(files[0]), read_all)


def _on_hub(name: str, config: str | None, revision: str | None) -> dict[str, Split]:
    try:
        import datasets
    except ImportError:
        raise BadInput(
            f"there is no such file or folder; as a name on the Hugging Face hub it {NEEDS}"
        ) from None
    try:
        found = datasets.load_dataset(name, name=config, revision=revision)
    except Exception as error:  # of many kinds: no network, no such dataset, several configs
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise BadInput(
            f"there is no such file or folder, and it cannot be had from the Hugging Face hub ({reason})"
        ) from None

    def split(dataset: Any) -> Split:
        return Split(
            dataset.features.arrow_schema,
            lambda columns: dataset.select_columns(list(columns)).with_format("arrow")[:],
        )

    return {str(key): split(dataset) for key, dataset in found.items()}
