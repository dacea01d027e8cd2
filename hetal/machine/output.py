"""Standard output and error that never end a run: what cannot be written is lost, and what it told of is on disk.

A reader that has gone (`| head -1`) is no error of anybody's. Any other reason, such as a full disk, is told once on
standard error. Neither changes the exit status, which says what became of the run and not of its lines.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console

NAMES = {1: "standard output", 2: "standard error"}


def protect_output() -> None:
    """Put `Descriptor` under `sys.stdout` and `sys.stderr`, once; what their encoding lacks is replaced."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: what is opened next would get this number, and all that is printed
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        stream = getattr(sys, name)
        if number and (under := _under(stream)) is None:
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.flush()
            # Where there was no stream, the number may be that of a file which was opened since.
            at = number if stream is not None else os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, _text(Descriptor(at), getattr(stream, "encoding", None)))
        elif number:
            assert under is not None
            under.prefix = ""


def prefix_lines(prefix: str) -> None:
    """From now on write whole lines only, each behind `prefix`: for jobs that write side by side."""
    for stream in (sys.stdout, sys.stderr):
        if (under := _under(stream)) is not None:
            stream.flush()
            under.finish_line()
            under.prefix = prefix


def plain_console() -> Console:
    """Return a console on standard output that takes text as it is: no markup, no emoji, no colours of its own."""
    return Console(markup=False, highlight=False, emoji=False)


class Descriptor(io.RawIOBase):
    """Writes to a file descriptor, and never fails.

    Args:
        number: of the descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._lost = False
        self._rest = b""  # of a line that has no end yet
        self.prefix = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Tell whether this is a terminal that one job has for itself."""
        return not self.prefix and os.isatty(self._number)

    def write(self, content: Any) -> int:
        """Write all of `content`; of what is prefixed, whole lines, and the rest later."""
        given = bytes(content)
        if not self.prefix:
            self._send(given)
            return len(given)
        *lines, self._rest = (self._rest + given).split(b"\n")
        if lines:
            # In one call, so that no other process writes in between.
            self._send(b"".join(self.prefix.encode() + line + b"\n" for line in lines))
        return len(given)

    def finish_line(self) -> None:
        """End the line that has no end yet."""
        if self._rest:
            self.write(b"\n")

    def _send(self, content: bytes) -> None:
        while content:
            content = content[self._write(content) :]

    def _write(self, content: bytes) -> int:
        try:
            return os.write(self._number, content)
        except BlockingIOError:  # of a pipe that someone has made so
            select.select([], [self._number], [])
            return 0
        except OSError as error:
            self._lose(error)
            return len(content)

    def _lose(self, error: OSError) -> None:
        """Tell once what is lost. Nobody is told where the reader has gone, for whom all of it was."""
        gone = error.errno in (errno.EPIPE, errno.EBADF, errno.EIO)
        if gone:
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._number)
                os.close(nowhere)
        if not self._lost and not gone and self._number != 2:
            name = NAMES.get(self._number, "output")
            said = f"{name} lacks lines ({error.strerror}); the record and the exit status are as they should be\n"
            print(said, end="", file=sys.stderr)
        self._lost = True


def _text(raw: Descriptor, encoding: str | None) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)


def _under(stream: Any) -> Descriptor | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Descriptor) else None
