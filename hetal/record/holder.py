"""The write lock of a record: one process at a time, which the others can name."""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hetal.errors import BadInput, RecordLocked, Unreadable
from hetal.machine.files import read_bytes, write_text
from hetal.machine.locks import locked


class Holder:
    """The write lock of a run's folder, across processes and machines.

    Args:
        folder: of the run; in it, `.lock` is the lock and `.holder.json` names the process that holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ".holder.json"
        self._written = ""

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock inside a `with` block, and name this process as the holder.

        Raises:
            RecordLocked: another process holds it; names the process.
        """
        with self.locked():
            holder = {"host": platform.node(), "pid": os.getpid(), "since": time.strftime("%F %T")}
            self._written = json.dumps({**holder, "token": uuid.uuid4().hex})
            try:
                write_text(self._path, self._written)
                yield
            finally:
                with suppress(OSError, Unreadable):  # the file is for messages only
                    if self._is_ours():
                        self._path.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for a moment, without naming this process as the holder.

        Raises:
            RecordLocked: another process holds it; names the process.
        """
        with locked(self._folder / ".lock", self._refusal):
            yield

    def check(self) -> None:
        """Refuse to write if the folder was deleted, or deleted and created again by another process.

        Raises:
            BadInput: it was deleted.
        """
        if not self._is_ours():
            raise BadInput(
                f"{self._folder} was deleted or taken over by {self._name()} while this process ran"
            )

    def _is_ours(self) -> bool:
        return read_bytes(self._path) == self._written.encode()

    def _refusal(self) -> RecordLocked:
        return RecordLocked(f"{self._folder} is being written by {self._name()}")

    def _name(self) -> str:
        try:
            holder = json.loads(self._path.read_text())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, LookupError, TypeError):
            return "another process"
