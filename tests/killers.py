"""Strategies that do harm to their process, as a user's own code might, and the options that name them."""

from __future__ import annotations

from pathlib import Path

CODE = '''
import ctypes, os, signal, sys, time
from pathlib import Path

from hetal.algs import QueryStrategy


class Odd(Exception):
    pass


class Odder(BaseException):
    pass


def odder():
    raise Odder("of no kind that anybody catches")


def odd():
    raise Odd("two lines,\\nand [/markup] [bold]")


def interrupt():
    raise KeyboardInterrupt


DEEDS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "leave": lambda: os._exit(3),
    "leave_quietly": lambda: os._exit(0),
    "exit": lambda: sys.exit(0),
    "exit_none": sys.exit,
    "exit_text": lambda: sys.exit("no"),
    "odd": odd,
    "odder": odder,
    "interrupt": interrupt,
    "nothing": lambda: None,
}


class Harm(QueryStrategy):
    """Does something to its process when it is asked; with $HARM_MARKS, as often as a file there says."""

    def __init__(self, deed: str):
        self.deed = deed

    def query(self, fitted, pool, n, rng):
        if "HARM_MARKS" not in os.environ:
            DEEDS[self.deed]()
        elif (mark := Path(os.environ["HARM_MARKS"], self.deed)).exists() and (left := int(mark.read_text())):
            mark.write_text(str(left - 1))
            DEEDS[self.deed]()
        return pool.unlabelled_ids()[:n]


class Print(QueryStrategy):
    """Prints half lines and long ones."""

    def query(self, fitted, pool, n, rng):
        for word in ["a", "b", "c" * 9000, "d"]:
            print(word, end=" ")
            sys.stdout.flush()
        print("end of line")
        print("and no end", end="")
        return pool.unlabelled_ids()[:n]


class Slow(QueryStrategy):
    """Waits for a file before it answers."""

    def __init__(self, file: str):
        self.file = file

    def query(self, fitted, pool, n, rng):
        while not Path(self.file).exists():
            time.sleep(0.01)
        return pool.unlabelled_ids()[:n]
'''


def install(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write the strategies and their options, `alg=harm`, `alg=print` and `alg=slow`, to `folder`.

    Returns:
        What a command line needs to find the options, and what its environment needs to find the code.
    """
    (folder / "conf" / "alg").mkdir(parents=True)
    for name, rest in (
        ("harm", "deed: nothing\n"),
        ("print", ""),
        ("slow", "file: null\n"),
    ):
        text = f"_target_: killers_of_a_user.{name.title()}\n{rest}"
        (folder / "conf" / "alg" / f"{name}.yaml").write_text(text)
    (folder / "killers_of_a_user.py").write_text(CODE)
    return [f"hydra.searchpath=[file://{folder / 'conf'}]"], {"PYTHONPATH": str(folder)}
