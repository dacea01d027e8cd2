"""Break runs in every way we can think of, and see that the same command always ends in the same bits.

    python -m tests.faults              # the whole of it, half an hour
    python -m tests.faults --kills 10 --operations 10 --damages 10 --edits 10

Every run is a process of its own, forked from one that has torch imported already. A run that was broken is started
again with the same settings until it ends; then rounds (but for timings), purchases and their pictures, summary and
config must equal, byte for byte, those of a run that nothing happened to.
"""

from __future__ import annotations

import argparse
import errno
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import hetal.machine.files
import tests.warm  # noqa: F401  # imported once, for all processes that are forked from here
from hetal.app.command import task
from hetal.record.schema import MEASURED
from tests.command_line import command, composed
from tests.killers import install
from tests.processes import new_file
from tests.sealed import change_queries, reseal

SMALL = [
    "device=cpu", "tracker=none", "n_start=40", "n_query=20", "n_end=100", "train.max_epochs=30", "data.n_train=200",
]  # fmt: skip
KEEP = "train.checkpoint_minutes=0"
TUNE = "finetune=pseudo_label finetune.confidence=0.3 finetune.min_rows=1 train.max_epochs=6"
WARM = "train/warm_start=shrink_perturb"
RESNET = "model=resnet model.widths=[4,4,4,4] train.max_epochs=3"
MIX = [
    "alg=random noise=blank",
    "alg=confidence noise=diverse",
    "alg=margin train=published",
    f"alg=entropy {KEEP}",
    "alg=coreset noise=blank",
    "alg=badge",
    f"alg=badge {TUNE}",
    "alg=bald model=mlp_dropout",
    f"alg=lhd {KEEP}",
    f"alg=lhd {TUNE} {KEEP}",
    f"alg=lhd_published {RESNET} {KEEP}",
    "alg=lhd_loss noise=diverse train.restart_every=3 train.restart_below=0.5",
    f"alg=lhd_hidden noise=clean mult=0 {KEEP}",
    f"alg=random alg._target_=tests.test_acquire.Keeps {KEEP}",
    f"alg=random alg._target_=tests.forgetting.Forgetting {KEEP}",
    f"alg=lhd_published finetune=published finetune.confidence=0.3 finetune.min_rows=1 train.max_epochs=5 {KEEP}",
    f"alg=badge train/warm_start=last {TUNE}",
    f"alg=lhd {WARM} train=published {KEEP}",
    f"alg=badge optimizer=sgd optimizer.lr=0.05 optimizer.momentum=0.9 schedule=cosine {WARM} {KEEP}",
    f"alg=random optimizer=adamw schedule=warm_up_cosine train.label_smoothing=0.1 {KEEP}",
]

counts: Counter[str] = Counter()


class Process:
    """A run in a forked process.

    Args:
        line: overrides.
        root: where it writes.
        fault: called in the new process before it begins.
    """

    def __init__(self, line: str, root: Path, fault: Callable[[], None] = lambda: None) -> None:
        self.said = new_file()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                out = os.open(self.said, os.O_WRONLY)
                os.dup2(out, 1)
                os.dup2(out, 2)
                fault()
                task(composed(*SMALL, *line.split(), root=root))
                code = 0
            except SystemExit as error:
                code = int(error.code or 0)
            except KeyboardInterrupt:
                code = 128 + signal.SIGINT  # before there was anything to stop
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def wait(self) -> tuple[int, str]:
        """Return its exit status (negative: the signal that ended it) and what it said."""
        _, status = os.waitpid(self.pid, 0)
        text = self.said.read_text(errors="replace")
        self.said.unlink()
        return os.waitstatus_to_exitcode(status), text

    def kill_after(self, seconds: float, number: int = signal.SIGKILL) -> tuple[int, str]:
        time.sleep(seconds)
        os.kill(self.pid, number)  # not waited for yet, so the id is still its own
        return self.wait()


def left(root: Path) -> dict[str, object]:
    """Return what the one run under `root` left, without timings and places."""
    (folder,) = (path.parent for path in root.glob("*/*/provenance.json"))
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    for timed in [*rounds, summary]:
        for name in MEASURED:
            timed.pop(name, None)
    config = (folder / ".hydra" / "config.yaml").read_text(errors="replace").splitlines()
    config = [line for line in config if not line.startswith(("root:", "force:"))]
    queries = np.load(folder / "queries.npz")
    notes = (".lock", ".lock.soft", ".holder.json")  # of who writes, or wrote when it was killed
    scraps = sorted(path.name for path in folder.iterdir() if path.name not in notes)
    return {
        "rounds": json.dumps(rounds),
        "summary": json.dumps(summary),
        "queries": {name: queries[name].tobytes() for name in queries.files},
        "pictures": (folder / "pictures.npz").read_bytes(),
        "weights": {path.name: path.read_bytes() for path in folder.glob("weights-*.pt")},
        "config": config,
        "files": scraps,
    }


def run_to_the_end(line: str, root: Path) -> None:
    code, said = Process(line, root).wait()
    if code:
        raise AssertionError(f"{line}: ended with {code}:\n{said}")


def must_equal(root: Path, reference: dict[str, object], what: str) -> None:
    found = left(root)
    for name, value in reference.items():
        if found[name] != value:
            raise AssertionError(f"{what}: {name} differ:\n{value!s:.2000}\n{found[name]!s:.2000}")
    counts["ends compared, equal in all"] += 1


@contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="hetal-faults-") as name:
        (Path(name) / "out").mkdir()
        yield Path(name) / "out"


@functools.cache
def reference(line: str) -> tuple[dict[str, object], float]:
    """Return what `line` leaves when nothing happens to it, and how long it takes."""
    with folder() as root:
        began = time.perf_counter()
        run_to_the_end(line, root)
        return left(root), time.perf_counter() - began


def kills(n: int, rng: random.Random) -> None:
    """Kill runs at random times, each again and again until it ends by itself; some have a smaller budget at first."""
    while counts["kills at a random time"] < n:
        line = rng.choice(MIX)
        expected, seconds = reference(line)
        number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        with folder() as root:
            for _ in range(rng.randint(1, 4)):
                end = rng.choice(["", "", " n_end=60", " n_end=70"])  # 70 ends with a short query
                code, said = Process(line + end, root).kill_after(rng.uniform(0, seconds), number)
                if code == 0 and not end:
                    break
                counts["  budgets that were smaller at first"] += end != ""
                if code == 0 or (code == 1 and end and "name=OTHER runs this apart" in said):
                    continue
                if code not in (-number, 128 + number):
                    raise AssertionError(f"{line}: signal {number} ended in {code}:\n{said}")
                counts["kills at a random time"] += 1
                counts["  of them SIGTERM or SIGINT"] += number != signal.SIGKILL
                counts["  of them stopped at a safe point"] += code > 0
            run_to_the_end(line, root)
            must_equal(root, expected, line)


class Operation:
    """Makes the k-th write, flush, rename or removal of a process fail, in one of several ways."""

    WAYS = ("killed before", "killed after", "torn", "disk full", "input/output error")

    def __init__(self, k: int, way: str) -> None:
        self.k = k
        self.way = way
        self.count = 0

    def __call__(self) -> None:
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, self.around(getattr(os, name)))
        hetal.machine.files.open = self.open  # type: ignore[attr-defined]

    def due(self) -> bool:
        self.count += 1
        return self.count == self.k

    def around(self, real):
        def call(*args, **kwargs):
            if not self.due():
                return real(*args, **kwargs)
            self.fail()
            try:
                return real(*args, **kwargs)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

        return call

    def fail(self) -> None:
        if self.way in ("killed before", "torn"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "disk full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.way == "input/output error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def open(self, path, mode):
        file = open(path, mode)  # noqa: SIM115 (handed on)
        if self.due():
            if self.way == "torn":
                real = file.write

                def write(content):
                    real(bytes(content)[: len(content) // 2])
                    file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)

                return _Torn(write, file)
            file.close()
            self.fail()
            os.kill(os.getpid(), signal.SIGKILL)
        return file


class _Torn:
    """A file of which only half of the first write arrives."""

    def __init__(self, write, file) -> None:
        self.write = write
        self.writelines = lambda parts: write(b"".join(parts))
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def operations(n: int | None, rng: random.Random) -> None:
    """Fail at each single file operation of a run, in every way; or at `n` of them."""
    line = f"alg=lhd {KEEP} {WARM} train.max_epochs=2 n_end=60"
    expected, _ = reference(line)
    cases = [(k, way) for k in range(1, 200) for way in Operation.WAYS]
    if n is not None:
        cases = rng.sample([case for case in cases if case[0] < 60], n)
    beyond = 200
    for k, way in cases:
        if k >= beyond:
            continue
        with folder() as root:
            code, said = Process(line, root, Operation(k, way)).wait()
            if code == 0:
                # An error in a removal of what may be absent, or more operations than the run has.
                if way.startswith("killed"):
                    beyond = k
                    continue
            elif code == 1 and (
                "cannot" in said and said.rstrip().count("\n") < 8 and "Traceback" not in said
            ):
                counts["file operations failed, said in a line"] += 1
            elif code == -signal.SIGKILL:
                counts["kills within a file operation"] += 1
            else:
                raise AssertionError(f"operation {k}, {way}: ended with {code}:\n{said}")
            run_to_the_end(line, root)
            must_equal(root, expected, f"operation {k}, {way}")
    # Two rounds write over a dozen files, each in several operations: fewer means that faults were not injected.
    if n is None and not 40 < beyond < 200:
        raise AssertionError(f"the run ended before operation {beyond}")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda b: b"",
    "half": lambda b: b[: len(b) // 2],
    "a byte short": lambda b: b[:-1],
    "zeros": lambda b: bytes(len(b)),
    "no file of its kind": lambda b: b"\x93 nonsense \xff",
    "twice as long": lambda b: b + b,
}


def stop_and_finish(line: str, stopped: Path, finished: Path, n_rounds: int, rng: random.Random) -> None:
    """Leave a run under `stopped` that was killed after `n_rounds` rounds or more, and a whole one under `finished`."""
    _, seconds = reference(line)
    while True:
        Process(line, stopped).kill_after(rng.uniform(0.4, 0.9) * seconds)
        found = {path.name: path for path in stopped.glob("*/*/*")}
        midway = {"rounds.jsonl", "round.ckpt"} <= found.keys() and "summary.json" not in found
        if midway and found["rounds.jsonl"].read_text().count("\n") >= n_rounds:
            break
        shutil.rmtree(stopped)
        stopped.mkdir()
    run_to_the_end(line, finished)


def damages(n: int | None, rng: random.Random) -> None:
    """Damage each file that a stopped or finished run has left, in every way; or `n` of them."""
    line = f"alg=lhd {KEEP} {WARM}"
    expected, _ = reference(line)
    with folder() as stopped, folder() as finished:
        stop_and_finish(line, stopped, finished, 1, rng)
        cases = [
            (before, path.relative_to(before), name)
            for before in (stopped, finished)
            for path in sorted(before.rglob("*"))
            if path.is_file() and path.name != "curve.png"
            for name in DAMAGES
        ]
        for before, path, name in cases if n is None else rng.sample(cases, n):
            what = f"{path.name} of a {'stopped' if before == stopped else 'finished'} run: {name}"
            with folder() as root:
                shutil.copytree(before, root, dirs_exist_ok=True)
                damaged = root / path
                damaged.write_bytes(DAMAGES[name](damaged.read_bytes()))
                code, said = Process(line, root).wait()
                if code == 1 and path.name in said and "Traceback" not in said:
                    counts["files damaged, named and refused"] += 1
                    run_to_the_end(f"{line} force=true", root)
                    expected_now = dict(expected)
                elif code == 0:
                    counts["files damaged, mended or of no matter"] += 1
                    expected_now = dict(expected)
                    if before == finished and path.name in ("config.yaml", "overrides.yaml"):
                        del expected_now["config"]  # for people; a finished run is not written to
                    if before == finished and path.name == "pictures.npz":
                        del expected_now["pictures"]  # for the report, which says that it is damaged
                    if before == finished and path.name.startswith("weights-"):
                        del expected_now["weights"]  # for a larger budget, which refuses it
                else:
                    raise AssertionError(f"{what}: ended with {code}:\n{said}")
                must_equal(root, expected_now, what)


def lines_of(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Return what changes the lines of a rounds.jsonl."""

    def edit(folder: Path) -> None:
        path = folder / "rounds.jsonl"
        before = path.read_text().splitlines(True)
        path.write_text("".join(change(list(before))))

    return edit


def field_of(t: int, name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Return what changes one field of a round as an editor of text would."""

    def edit(lines: list[str]) -> list[str]:
        row = json.loads(lines[t])
        row[name] = change(row[name])
        lines[t] = json.dumps(row) + "\n"
        return lines

    return lines_of(edit)


def json_of(file: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Return what changes a JSON file."""

    def edit(folder: Path) -> None:
        values = json.loads((folder / file).read_text())
        change(values)
        (folder / file).write_text(json.dumps(values, indent=2) + "\n")

    return edit


def arrays_of(change: Callable[[dict[str, np.ndarray]], None], consistent: bool) -> Callable[[Path], None]:
    """Return what changes queries.npz; `consistent` gives every digest its due, as who knows hetal's code could."""

    def edit(folder: Path) -> None:
        change_queries(folder, change)
        if consistent:
            reseal(folder)

    return edit


def flip_a_label(arrays: dict[str, np.ndarray]) -> None:
    arrays["labels"][45] = (arrays["labels"][45] + 1) % 10


def swap_between_rounds(arrays: dict[str, np.ndarray]) -> None:
    start, first = (int(np.flatnonzero(arrays["round"] == t)[0]) for t in (-1, 0))
    for name in arrays:
        if name != "round":
            arrays[name][[start, first]] = arrays[name][[first, start]]


def swap_within_a_round(arrays: dict[str, np.ndarray]) -> None:
    first = int(np.flatnonzero(arrays["round"] == 0)[0])
    arrays["ids"][[first, first + 1]] = arrays["ids"][[first + 1, first]]


def enlarge_the_start_set(arrays: dict[str, np.ndarray]) -> None:
    arrays["round"][np.flatnonzero(arrays["round"] == 0)[0]] = -1


def another_row(arrays: dict[str, np.ndarray]) -> None:
    arrays["ids"][50] = np.setdiff1d(np.arange(200), arrays["ids"])[0]


def call_noise_clean(arrays: dict[str, np.ndarray]) -> None:
    arrays["is_noisy"][np.flatnonzero(arrays["is_noisy"])[-1]] = False


ARRAYS = (
    flip_a_label, swap_between_rounds, swap_within_a_round, enlarge_the_start_set, another_row, call_noise_clean
)  # fmt: skip


def take_back_the_summary(folder: Path) -> None:
    (folder / "summary.json").unlink(missing_ok=True)


EDITS: dict[str, Callable[[Path], None]] = {
    **{f"queries.npz: {change.__name__}": arrays_of(change, consistent=False) for change in ARRAYS},
    **{
        f"queries.npz, sealed again: {change.__name__}": arrays_of(change, consistent=True)
        for change in ARRAYS
    },
    "rounds.jsonl: another accuracy": field_of(0, "accuracy", lambda x: round(x + 0.002, 6)),
    "rounds.jsonl: another accuracy, later": field_of(1, "accuracy", lambda x: round(x - 0.002, 6)),
    "rounds.jsonl: an accuracy that cannot be": field_of(1, "accuracy", lambda x: 7.0),
    "rounds.jsonl: fewer bought": field_of(0, "n_bought", lambda x: x - 1),
    "rounds.jsonl: fewer steps": field_of(0, "steps", lambda x: x - 1),
    "rounds.jsonl: cleaner": field_of(0, "clean_share", lambda x: min(x + 0.05, 1.0)),
    "rounds.jsonl: faster": field_of(1, "seconds", lambda x: {name: s / 2 for name, s in x.items()}),
    "rounds.jsonl: other labels": field_of(1, "n_labelled", lambda x: x + 1),
    "rounds.jsonl: a line taken out": lines_of(lambda lines: lines[1:]),
    "rounds.jsonl: a line taken out, numbered again": lines_of(
        lambda lines: [lines[1].replace('"round": 1', '"round": 0'), *lines[2:]]
    ),
    "rounds.jsonl: the last line taken out": lines_of(lambda lines: lines[:-1]),
    "rounds.jsonl: a line twice": lines_of(lambda lines: [lines[0], *lines]),
    "rounds.jsonl: lines swapped": lines_of(lambda lines: [lines[1], lines[0], *lines[2:]]),
    "rounds.jsonl: a field more": lines_of(
        lambda lines: [lines[0].replace("{", '{"by_hand": 1, ', 1), *lines[1:]]
    ),
    "rounds.jsonl: no digest": lines_of(
        lambda lines: [lines[0][: lines[0].index(', "digest"')] + "}\n", *lines[1:]]
    ),
    "provenance.json: other data": json_of("provenance.json", lambda about: about.update(data="0" * 16)),
    "provenance.json: another option": json_of(
        "provenance.json", lambda about: about["choices"].update(alg="badge")
    ),
    "provenance.json: other settings": json_of(
        "provenance.json", lambda about: about["settings"].update(seed=1)
    ),
    "provenance.json: other code": json_of(
        "provenance.json", lambda about: about["made_by"].update(torch="1.0")
    ),
    "summary.json: a larger area": json_of("summary.json", lambda s: s.update(area_under_curve=0.99)),
    "summary.json: another accuracy": json_of(
        "summary.json", lambda s: s.update(final_accuracy=round(s["final_accuracy"] + 0.002, 6))
    ),
    "summary.json: fewer rounds": json_of("summary.json", lambda s: s.update(n_rounds=s["n_rounds"] - 1)),
    "summary.json: gone": take_back_the_summary,
}


def edits(n: int | None, rng: random.Random) -> None:
    """Edit the record of a stopped and of a finished run by hand, with values that could be true; or `n` of the ways.

    What is sealed again can be told on running on only, by the data: there a finished run loses its summary first.
    """
    line = f"alg=lhd {KEEP}"
    expected, _ = reference(line)
    with folder() as stopped, folder() as finished:
        stop_and_finish(line, stopped, finished, 2, rng)
        cases = [(before, name) for before in (stopped, finished) for name in EDITS]
        for before, name in cases if n is None else rng.sample(cases, n):
            file = name.split(":")[0].split(",")[0]
            if before == stopped and file == "summary.json":
                continue
            what = f"{'stopped' if before == stopped else 'finished'}, {name}"
            with folder() as root:
                shutil.copytree(before, root, dirs_exist_ok=True)
                (record,) = (path.parent for path in root.glob("*/*/provenance.json"))
                EDITS[name](record)
                if "sealed again" in name:
                    take_back_the_summary(record)
                code, said = Process(line, root).wait()
                if code == 1 and file in said and "Traceback" not in said and len(said.splitlines()) < 4:
                    counts["records edited, named and refused"] += 1
                    run_to_the_end(f"{line} force=true", root)
                elif code == 0:
                    counts["records edited, mended"] += 1
                else:
                    raise AssertionError(f"{what}: ended with {code}:\n{said}")
                must_equal(root, expected, what)


def races(n: int, rng: random.Random) -> None:
    """Start several processes on one run at once, kill some; one at a time may write."""
    line = f"alg=badge {KEEP}"
    expected, seconds = reference(line)
    for _ in range(n):
        with folder() as root:
            for _ in range(2):
                processes = [Process(line, root) for _ in range(4)]
                time.sleep(rng.uniform(0, 2 * seconds))
                os.kill(rng.choice(processes).pid, signal.SIGKILL)
                for process in processes:
                    code, said = process.wait()
                    if code not in (0, -signal.SIGKILL) and not (code == 1 and "is being written by" in said):
                        raise AssertionError(f"a race ended with {code}:\n{said}")
                    counts["  turned away"] += code == 1
                counts["races of four processes"] += 1
            run_to_the_end(line, root)
            must_equal(root, expected, "race")


def full_disk(n: int, rng: random.Random) -> None:
    """Run on a file system that fills up; make room, and run again."""
    line = f"alg=badge {KEEP}"
    expected, _ = reference(line)
    with folder() as place:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True
        )
        if mounted.returncode:
            print(f"no full disk: {mounted.stderr.strip()}")
            return
        try:
            for _ in range(n):
                root = place / "out"
                root.mkdir()
                ballast = place / "ballast"
                ballast.write_bytes(bytes(4 * 2**20 - rng.randrange(40_000, 1_000_000)))
                code, said = Process(line, root).wait()
                if code:
                    if code != 1 or "No space left on device" not in said or "Traceback" in said:
                        raise AssertionError(f"a full disk ended in {code}:\n{said}")
                    counts["disks filled up"] += 1
                ballast.unlink()
                run_to_the_end(line, root)
                must_equal(root, expected, "full disk")
                shutil.rmtree(root)
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def deletions(n: int, rng: random.Random) -> None:
    """Delete a run's folder while it is written."""
    line = f"alg=badge {KEEP}"
    expected, seconds = reference(line)
    while counts["folders deleted while written"] < n:
        with folder() as root:
            process = Process(line, root)
            while not list(root.glob("*/*/provenance.json")):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.5 * seconds))
            gone = root.parent / "gone"
            (root / "default").rename(gone)  # at one stroke, so that what it held can be told
            code, said = process.wait()
            if list(gone.glob("*/summary.json")):
                continue  # it had finished before
            if code != 1 or not ("was deleted" in said or "cannot" in said) or "Traceback" in said:
                raise AssertionError(f"a deleted folder ended in {code}:\n{said}")
            counts["folders deleted while written"] += 1
            run_to_the_end(line, root)
            must_equal(root, expected, "deleted folder")


def deaths(n: int, rng: random.Random) -> None:
    """Run sweeps whose jobs bring down their process, each again until all is done or only a killer is left.

    Some jobs die a number of times and then do not, as on a machine that is short of memory; one may always die.
    """
    with folder() as place:
        find, env = install(place)
        expected = {}
        while counts["jobs that died in a sweep"] < n:
            deeds = rng.sample(["kill", "abort", "segfault", "leave", "leave_quietly", "exit", "odder"], 3)
            at_once, always = rng.choice([1, 2, 3]), rng.random() < 0.5
            line = [
                "-m", "alg=harm", "seed=0", f"alg.deed={','.join([*deeds, 'nothing'])}", *SMALL, "train.max_epochs=2",
                *find, f"hydra.launcher.n_jobs={at_once}",
            ]  # fmt: skip
            times = {deed: rng.randint(1, 2) for deed in deeds}
            if always:
                times[deeds[0]] = 99
            with folder() as root:
                marks = root.parent / "marks"
                marks.mkdir()
                for deed, k in times.items():
                    (marks / deed).write_text(str(k))
                for _ in range(4):
                    done = command(*line, f"root={root}", env={**env, "HARM_MARKS": str(marks)})
                    if "Traceback" in done.stderr and "odder" not in deeds:
                        raise AssertionError(f"{deeds}: a traceback:\n{done.stderr}")
                    found = re.search(r"4 jobs: (.*)", done.stdout)
                    if found is None:
                        raise AssertionError(f"{deeds}: no table:\n{done.stdout}\n{done.stderr}")
                    ends = {state: int(k) for k, state in re.findall(r"(\d+) ([a-z]+)", found.group(1))}
                    bad = ends.get("died", 0) + ends.get("failed", 0)
                    counts["jobs that died in a sweep"] += bad
                    if sum(ends.values()) != 4 or set(ends) - {"died", "failed", "done", "skipped"}:
                        raise AssertionError(f"{deeds}: {found.group(0)}")
                    if done.returncode != (1 if bad else 0):
                        raise AssertionError(f"{deeds}: {found.group(0)}, and status {done.returncode}")
                    if not bad:
                        break
                counts["sweeps relaunched until all was done, or all but a killer"] += 1
                if bad != always:
                    raise AssertionError(f"{deeds} {times}: {bad} jobs are not done after four launches")
                for path in root.glob("default/*/summary.json"):
                    deed = config_of(path)["alg"]["deed"]
                    if deed not in expected:
                        with folder() as alone:
                            command(
                                "alg=harm", f"alg.deed={deed}", "seed=0", *SMALL, "train.max_epochs=2", *find,
                                f"root={alone}", env=env | {"HARM_MARKS": str(place / "none")},
                            )  # fmt: skip
                            expected[deed] = left(alone)
                    with folder() as one:
                        shutil.copytree(path.parent, one / "default" / path.parent.name)
                        must_equal(one, expected[deed], f"{deed} in a sweep of {deeds}")


def config_of(path: Path) -> dict[str, Any]:
    return yaml.safe_load((path.parent / ".hydra" / "config.yaml").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="kills at random times")
    parser.add_argument("--operations", type=int, help="file operations to fail; all unless given")
    parser.add_argument("--damages", type=int, help="files to damage; all in every way unless given")
    parser.add_argument("--edits", type=int, help="edits of records to make; all unless given")
    parser.add_argument("--others", type=int, default=10, help="races, full disks, deleted folders")
    parser.add_argument("--deaths", type=int, default=60, help="jobs of sweeps that bring down their process")
    parser.add_argument("--only", help="one kind of fault")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where a shell started this in the background
    began = time.perf_counter()
    rng = random.Random(options.seed)
    for inject, n in (
        (damages, options.damages),
        (edits, options.edits),
        (races, options.others),
        (full_disk, options.others),
        (deletions, options.others),
        (kills, options.kills),
        (operations, options.operations),
        (deaths, options.deaths),
    ):
        if options.only not in (None, inject.__name__):
            continue
        print(f"{time.perf_counter() - began:5.0f} s  {inject.__name__}", flush=True)
        inject(n, rng)
    for name, n in counts.items():
        print(f"{n:6,} {name}")
    print(f"all survived, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
