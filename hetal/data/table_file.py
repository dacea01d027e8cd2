"""Tables from CSV and Parquet files, as pandas frames with named columns."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetal.errors import BadInput
from hetal.machine.files import read_bytes
from hetal.machine.installation import how_to_install

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
DECIMALS = {"point": ".", "comma": ","}

# What files begin with that people take for tables.
OTHERS = {
    b"PK\x03\x04": "a ZIP archive, or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"%PDF": "a PDF",
    b"\x80\x04": "a pickle, which is never read",
    b"\x93NUMPY": "a NumPy array: data=npz",
}


@dataclass(frozen=True)
class CSV:
    """How numbers and texts stand in a CSV.

    Attributes:
        separator: of columns, one of `SEPARATORS`.
        decimal: of numbers, one of `DECIMALS`.
        encoding: of text, as Python names it.
        na_values: texts that stand for a missing value, besides the empty field.
    """

    separator: str
    decimal: str
    encoding: str
    na_values: Sequence[str]


def read_table(path: str, form: CSV) -> tuple[Any, str]:
    """Read a table; what it is, Parquet or CSV, its first bytes tell.

    Args:
        path: the file; `~` is the home folder.
        form: of a CSV.

    Returns:
        A pandas frame, of which each column has a name that is text, and no two the same; and what was left out, ""
        where nothing was. Columns without a name are, and the index of a frame that pandas wrote.

    Raises:
        BadInput: there is no such file, or it is no such table; the message does not name the file.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise BadInput(f"data=table needs pandas ({error}): {how_to_install('table')}") from None
    file = Path(os.path.expanduser(path))
    if file.is_dir():
        raise BadInput("is a folder; it must be a file, CSV or Parquet")
    content = read_bytes(file)
    if content is None:
        raise BadInput("there is no such file")
    for head, what in OTHERS.items():
        if content.startswith(head):
            raise BadInput(f"is {what}; it must be CSV or Parquet")
    is_parquet = content[:4] == b"PAR1"
    # The exception of pandas or Arrow depends on which byte is wrong, so any is caught and reported.
    try:
        return _read_parquet(content) if is_parquet else _read_csv(pd, content, form)
    except BadInput:
        raise
    except MemoryError:
        raise BadInput("there is not enough memory for the table") from None
    except UnicodeError as error:
        raise BadInput(_undecodable(content, form.encoding, error)) from None
    except Exception as error:
        kind, reason = "Parquet" if is_parquet else "CSV", " ".join(str(error).split())[:200]
        raise BadInput(f"cannot be read as {kind} ({type(error).__name__}: {reason})") from error


def _read_csv(pd: Any, content: bytes, form: CSV) -> tuple[Any, str]:
    try:
        "".encode(form.encoding)  # unlike codecs.lookup, this refuses such as base64
        encoding = codecs.lookup(form.encoding).name
    except LookupError:
        raise BadInput(f"data.encoding={form.encoding}: Python knows no such encoding of text") from None
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    separator = SEPARATORS[form.separator]
    with io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="") as text:
        names = _checked_names(text, separator)
    kept = [i for i, name in enumerate(names) if name]
    frame = pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        decimal=DECIMALS[form.decimal],
        encoding=encoding,
        header=0,
        names=[name or f"\0{i}" for i, name in enumerate(names)],
        usecols=kept,
        index_col=False,
        na_values=["", *form.na_values],
        keep_default_na=False,
        skipinitialspace=True,
        low_memory=False,
    )
    if len(frame) == 0:
        raise BadInput("holds a first line of names, but no rows")
    return frame, _left_out(len(names) - len(kept))


def _checked_names(text: io.TextIOWrapper, separator: str) -> list[str]:
    """Return the names in the first row, and check that every row has as many fields."""
    rows = csv.reader(text, delimiter=separator, skipinitialspace=True)
    names = next((row for row in rows if row), [])
    names = [name.strip() for name in names]
    if not any(names):
        raise BadInput("is empty; its first line must name the columns")
    if len(names) == 1 and (others := [key for key, mark in SEPARATORS.items() if mark in names[0]]):
        raise BadInput(
            f"its first line is one column, {names[0][:60]}; data.separator={others[0]} would separate it"
        )
    _check_distinct(names)
    for row in rows:
        if row and len(row) != len(names):
            raise BadInput(
                f"line {rows.line_num} has {len(row)} fields, and the first line names {len(names)} columns"
            )
    return names


def _check_distinct(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise BadInput(
                f"has two columns of the name {name[:60]}; its first line must name the columns, each differently"
            )
        seen.add(name)


def _read_parquet(content: bytes) -> tuple[Any, str]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput(f"Parquet needs pyarrow ({error}): {how_to_install('table')}") from None
    table = parquet.ParquetFile(pyarrow.BufferReader(content)).read()
    _check_distinct(table.column_names)
    kept = [name for name in table.column_names if name and not name.startswith("__index_level_")]
    if not kept or len(table) == 0:
        raise BadInput("holds no rows, or no columns")
    n_left_out = table.num_columns - len(kept)
    table = table.select(kept)
    table.validate(full=True)  # such as that text is UTF-8
    return table.to_pandas(ignore_metadata=True), _left_out(n_left_out)


def _left_out(n: int) -> str:
    return f"{n} column{'s' * (n > 1)} without a name left out" if n else ""


def _undecodable(content: bytes, encoding: str, error: UnicodeError) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"is no {encoding} text; data.encoding=utf-16 may be right"
    where = ""
    try:
        content.decode(encoding)
    except UnicodeDecodeError as fault:
        where = f", such as in line {content.count(10, 0, fault.start) + 1}"
    except UnicodeError:
        where = f" ({' '.join(str(error).split())[:100]})"
    return f"holds bytes that are no {encoding} text{where}; data.encoding=cp1252 may be right"
