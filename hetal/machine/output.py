"""Standard output and error that never end a run: lines that cannot be written are dropped.

A closed pipe (`| head -1`) is not an error. Any other reason, such as a full disk, is reported once on standard error.
Neither changes the exit status, which is that of the run; its results are on disk.
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
    """Make `sys.stdout` and `sys.stderr` write through `Descriptor`; characters they cannot encode are escaped."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would get this number, and all that is printed
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        stream = getattr(sys, name)
        if number and (under := _under(stream)) is None:
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.flush()
            # Without a stream, the number may belong to a file that was opened since.
            target = number if stream is not None else os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, _text(Descriptor(target), getattr(stream, "encoding", None)))
        elif number:
            assert under is not None
            under.prefix = ""


def prefix_lines(prefix: str) -> None:
    """From now on write whole lines only, each with `prefix`, for jobs that write to one terminal."""
    for stream in (sys.stdout, sys.stderr):
        if (under := _under(stream)) is not None:
            stream.flush()
            under.finish_line()
            under.prefix = prefix


def plain_console() -> Console:
    """Return a console on standard output that prints text unchanged: no markup, no emoji, no highlighting."""
    return Console(markup=False, highlight=False, emoji=False)


class Descriptor(io.RawIOBase):
    """A raw stream to a file descriptor whose writes never fail.

    Args:
        number: the file descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._lost = False
        self._rest = b""  # an unfinished line
        self.prefix = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Return whether this is a terminal that no other job writes to."""
        return not self.prefix and os.isatty(self._number)

    def write(self, content: Any) -> int:
        """Write `content`; with a prefix, write whole lines only and keep the rest for later."""
        data = bytes(content)
        if not self.prefix:
            self._send(data)
            return len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            # In one call, so that no other process can write in between.
            self._send(b"".join(self.prefix.encode() + line + b"\n" for line in lines))
        return len(data)

    def finish_line(self) -> None:
        """End the unfinished line, if any."""
        if self._rest:
            self.write(b"\n")

    def _send(self, content: bytes) -> None:
        while content:
            content = content[self._write(content) :]

    def _write(self, content: bytes) -> int:
        try:
            return os.write(self._number, content)
        except BlockingIOError:  # a non-blocking pipe that is full
            select.select([], [self._number], [])
            return 0
        except OSError as error:
            self._lose(error)
            return len(content)

    def _lose(self, error: OSError) -> None:
        """Report lost lines once, except to a closed pipe or terminal, which has no reader."""
        is_closed = error.errno in (errno.EPIPE, errno.EBADF, errno.EIO)
        if is_closed:
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._number)
                os.close(nowhere)
        if not self._lost and not is_closed and self._number != 2:
            name = NAMES.get(self._number, "output")
            message = f"{name} lacks lines ({error.strerror}); the record and the exit status are as they should be\n"
            print(message, end="", file=sys.stderr)
        self._lost = True


def _text(raw: Descriptor, encoding: str | None) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)


def _under(stream: Any) -> Descriptor | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Descriptor) else None
