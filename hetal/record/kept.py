"""State files of a record's rounds, which later rounds start from: `<kind>-<round>.pt` in the run's folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hetal.errors import BadInput, Unreadable
from hetal.machine.files import remove
from hetal.record.checkpoint import State, read_state, write_state
from hetal.record.reader import REPAIR_HINT


class Kept:
    """The state files of one kind, at most one a round.

    A file is written before its round is on record, so that no round on record lacks it, and is bound to the
    purchases by the end of that round.

    Args:
        folder: of the run.
        kind: the files' name, a plain word.
        needed_by: what depends on a state, for messages.
    """

    def __init__(self, folder: Path, kind: str, needed_by: str) -> None:
        self._folder = folder
        self._kind = kind
        self._needed_by = needed_by

    def write(self, t: int, digest: str, state: State) -> None:
        """Write the state of round `t` atomically.

        Args:
            t: the round.
            digest: of the purchases by its end, see `hetal.record.seal.queries_digests`.
            state: tensors and plain values.

        Raises:
            BadInput: the file cannot be written.
        """
        write_state(self._path(t), {"after": digest, "state": state})

    def read(self, t: int, digest: str) -> State:
        """Read the state of round `t`, onto the CPU; nothing but tensors and plain values is unpickled.

        Raises:
            Unreadable: the file cannot be read.
            BadInput: it is missing, damaged, or of other purchases than those of `digest`.
        """
        path = self._path(t)
        try:
            saved = read_state(path)
        except FileNotFoundError:
            raise BadInput(f"{path} is missing, which {self._needed_by} depends on; {REPAIR_HINT}") from None
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or "not enough memory"
            raise Unreadable(f"cannot read {path}: {reason}; nothing was changed") from None
        except Exception as error:  # torch's exception depends on which byte is wrong
            raise BadInput(f"{path} is damaged ({type(error).__name__}); {REPAIR_HINT}") from None
        if saved.get("after") != digest:
            raise BadInput(f"{path} is damaged (it is of other queries); {REPAIR_HINT}")
        state: State = saved["state"]
        return state

    def remove(self, but: Collection[int] = ()) -> None:
        """Remove the files of all rounds but these.

        Raises:
            BadInput: a file cannot be removed.
        """
        kept = {self._path(t) for t in but}
        for path in self._folder.glob(f"{self._kind}-[0-9]*.pt"):
            if path not in kept:
                remove(path)

    def _path(self, t: int) -> Path:
        return self._folder / f"{self._kind}-{t}.pt"
