"""Records as nobody's run leaves them: every file of a real one changed in every way that we can think of.

`python -m tests.hostile 100` makes a hundred reports, each of forty such records beside good ones, and says what came.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hetal.report.__main__ import main
from tests.command_line import TOY, run_here
from tests.sealed import reseal

AT_ONCE = 40
CANARY = "canary-0123456789"
TEXTS = ("provenance.json", "rounds.jsonl", "summary.json", ".hydra/config.yaml", ".hydra/overrides.yaml")
FILES = (*TEXTS, "queries.npz", "pictures.npz", ".holder.json")

PAYLOADS = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg onload=alert(1)>",
    "</script><script>alert(1)//",
    "--><b onclick=alert(1)>", "]]>", "javascript:alert(1)", "=HYPERLINK(\"http://x\")", "+1+cmd|' /C calc'!A0",
    "-2+3", "@SUM(1)",
    "\t=1", "\r=1", "\\input{/etc/passwd}", "$\\frac$", "a_b^c$%&#{}~", "\x1b]0;title\x07\x1b[2J", "a\nb\rc",
    "\u202egnp.exe",
    "\x00", "\u2028", "${oc.env:HETAL_CANARY}", "${hydra:runtime.cwd}", "../../../etc/passwd", "/dev/zero",
    "x" * 5000, "", " ", "_x",
    "__proto__", "constructor", "random", "|", "\u4f60\u597d", "$$", "~nobody/x", "~root", "a" * 300 + "/b",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, -0.5, 2, 1e308, -1e308, 2**31, 2**53, 2**63, 10**30, 10**400, float("nan"),
    float("inf"),
    [], {}, [[]], [None], {"a": {"b": [1, {"c": None}]}}, [1] * 2000, {"_target_": "os.system",
    "_args_": ["touch /tmp/x"]},
    {"_target_": "numpy.load", "file": "x.npy", "allow_pickle": True}, *PAYLOADS,
)  # fmt: skip
RAW = (
    b"", b"null", b"[]", b"{}", b"0", b'"text"', b"[" * 100_000, b"{" * 100_000, b'{"a":' * 100_000,
    b"- " * 100_000, b"? " * 5000,
    b"NaN", b"1e999", b"\xff\xfe", b"\0" * 1000, b'"\\' * 50_000, b"{a: " * 5000,
    b"a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\nseed: 0\nalg: *c\n", b"&x [*x]",
    b"!!python/object/apply:os.system [exit]",
    b"!!set {a, b}", b"seed: 0\nalg: {x: " + b":".join([b"59"] * 60_000) + b"}\n", b"seed: 0\nalg: {a: 2001-01-01}\n",
    b"seed: 0\nalg: {? [a, b] : 1}\n", b"<<: {a: 1}\nseed: 1\nalg: {}\n", b"9" * 100_000,
    b"seed: 0\nalg: {a: " + b"9" * 100_000 + b"}\n",
    b"PK\5\6" + bytes(18), b"seed: 999999999999999999\nalg: {}\n", b'{"round": 0}\n' * 3, b'{"\\ud800": "\\ud800"}',
)  # fmt: skip


def good_study(root: Path) -> Path:
    """Run two strategies, in the plane and on images, and return the folder of studies."""
    for alg in ("random", "badge"):
        run_here(*TOY, f"alg={alg}", "name=study", root=root)
        run_here(
            "+experiment=four_moons", f"alg={alg}", "device=cpu", "tracker=none", "train.max_epochs=1",
            "data.n_per_pair=200",
            "n_end=60", "n_query=20", "name=study", root=root,
        )  # fmt: skip
    return root


def spoil(folder: Path, name: str, rng: random.Random) -> str:
    """Change a file of a record, once: what would be written through a link of the first time goes elsewhere."""
    path = folder / name
    ways: list[Callable[[Path, random.Random], str]] = [_bytes, _raw, _special]
    if name in TEXTS:
        ways += [_value] * 9
    if name.endswith("npz"):
        ways += [_arrays] * 4
    return f"{name}: {rng.choice(ways)(path, rng)}"


def _bytes(path: Path, rng: random.Random) -> str:
    content = path.read_bytes() if path.exists() else b"{}"
    at = rng.randrange(len(content) or 1)
    cut = {
        "cut": content[:at],
        "changed": content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
        "longer": content[:at] + rng.randbytes(9) + content[at:],
        "twice": content * 2,
    }
    way = rng.choice(sorted(cut))
    path.write_bytes(cut[way])
    return f"{way} at {at}"


def _raw(path: Path, rng: random.Random) -> str:
    content = rng.choice(RAW)
    path.write_bytes(content)
    return f"is {content[:30]!r}"


def _special(path: Path, rng: random.Random) -> str:
    path.unlink(missing_ok=True)
    way = rng.choice(("pipe", "socket", "folder", "loop", "nowhere", *(links := (
        "/dev/zero", "/dev/tty", "/proc/self/environ", "/proc/kmsg", "/proc/version", "/", "/dev/stdin"
    ))))  # fmt: skip
    if way == "pipe":
        os.mkfifo(path)
    elif way == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # whose path may be longer than that of a socket can be
        with socket.socket(socket.AF_UNIX) as it:
            it.bind(path.name)
        os.chdir(here)
    elif way == "folder":
        path.mkdir()
    elif way == "loop":
        path.symlink_to(path.name)
    elif way == "nowhere":
        path.symlink_to("nowhere")
    else:
        assert way in links
        path.symlink_to(way)
    return f"is a {way}"


def _value(path: Path, rng: random.Random) -> str:
    """Change a value or a key somewhere in the structure that a file holds."""
    text = path.read_text()
    lines = path.suffix == ".jsonl"
    node = [json.loads(line) for line in text.splitlines()] if lines else yaml.safe_load(text)
    holders = [h for h in _holders(node) if h]
    holder = rng.choice(holders)
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    value = rng.choice(VALUES)
    way = rng.choice(("value", "value", "value", "gone", "new", "renamed", "everywhere"))
    if way == "gone":
        del holder[key]
    elif way == "everywhere" and isinstance(holder, dict):
        for one in (h for h in holders if isinstance(h, dict) and key in h):
            one[key] = value
    elif way in ("new", "renamed") and isinstance(holder, dict):
        name = str(rng.choice(PAYLOADS))
        holder[name] = holder.pop(key) if way == "renamed" else value
    else:
        holder[key] = value
    said = (
        f"{key}, {way}, {str(value)[:40]!r}"
        if abs(value if isinstance(value, int) else 0) < 1e300
        else f"{key}, {way}"
    )
    if lines:
        path.write_text("".join(json.dumps(row) + "\n" for row in node))
    elif path.suffix == ".json":
        path.write_text(json.dumps(node))
    else:
        path.write_text(yaml.safe_dump(node, sort_keys=False, allow_unicode=rng.random() < 0.5))
    return said


def _holders(node: Any) -> Iterator[Any]:
    if isinstance(node, (dict, list)):
        yield node
        for item in node.values() if isinstance(node, dict) else node:
            yield from _holders(item)


def _arrays(path: Path, rng: random.Random) -> str:
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    n = len(arrays[name])
    others = {
        "gone": None, "object": np.array([{}] * n), "text": np.array(["<b>"] * n), "huge": np.full(n, 2**62),
        "negative": np.full(n, -(2**62)), "nan": np.full(n, np.nan), "inf": np.full((n, 2), np.inf),
        "flat": np.zeros(n, np.float32),
        "deep": np.zeros((n, 1, 1, 1, 1)), "none": np.zeros(0), "one": np.zeros((), int),
        "wide": np.zeros((n, 300, 300), np.uint8),
        "tiny": np.zeros((n, 0, 0), np.uint8), "big": np.full((n, 2), 3e38, np.float32), "bytes": np.zeros(n, "V8"),
        "complex": np.zeros(n, complex), "dates": np.zeros(n, "M8[s]"), "alike": np.full_like(arrays[name], 1),
        "zeros": np.zeros_like(arrays[name]),
    }  # fmt: skip
    way = rng.choice([*sorted(others), "bomb", "shape", "crowd"])
    if way == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                head, {"descr": "<i8", "fortran_order": False, "shape": (2**24,)}
            )
            for array in arrays:  # each of 128 MiB
                with file.open(f"{array}.npy", "w") as part:
                    part.write(head.getvalue())
                    for _ in range(128):
                        part.write(bytes(2**20))
    elif way == "shape":
        with zipfile.ZipFile(path, "w") as file:
            for array in arrays:
                head = io.BytesIO()
                shape = rng.choice([(2**40,), (-1, -8), (2**62, 2**62), ()])
                np.lib.format.write_array_header_1_0(
                    head, {"descr": "<i8", "fortran_order": False, "shape": shape}
                )
                file.writestr(f"{array}.npy", head.getvalue() + bytes(64))
    elif way == "crowd":
        with zipfile.ZipFile(path, "w") as file:
            for i in range(5000):
                file.writestr(f"{i}.npy", b"")
    else:
        arrays = (
            {**arrays, name: others[way]} if way != "gone" else {k: a for k, a in arrays.items() if k != name}
        )
        np.savez(path, **arrays)
    return f"{name} {way}"


def hostile_study(good: Path, root: Path, rng: random.Random) -> list[str]:
    """Copy a good study, and add spoilt copies of its runs, each of another seed; return what was done."""
    done = []
    shutil.copytree(good, root)
    runs = sorted(path.parent for path in good.glob("*/*/provenance.json"))
    for i in range(AT_ONCE):
        source = rng.choice(runs)
        folder = root / "study" / re.sub("-s0-", f"-s{i + 1}-", source.name)
        shutil.copytree(source, folder)
        config = folder / ".hydra" / "config.yaml"
        config.write_text(config.read_text().replace("\nseed: 0\n", f"\nseed: {rng.choice((i + 1, 1, 2))}\n"))
        names = rng.sample(FILES, rng.choice((1, 1, 2)))
        if older := rng.random() < 0.5:
            unseal(folder)
        how = "; ".join(spoil(folder, name, rng) for name in names)
        if not older and all(
            p.is_file() and not p.is_symlink() for p in map(folder.joinpath, (*TEXTS, "queries.npz"))
        ):
            with suppress(Exception):  # of most damages there is nothing left to seal
                reseal(folder)
        done.append(f"{folder.name}: {how}")
    if rng.random() < 0.5:
        name = rng.choice(
            (
                "\x1b[2J-s1-00000000",
                "<b>-s2-00000000",
                "=1-s3-00000000",
                b"\xff-s4-00000000".decode(errors="surrogateescape"),
            )
        )
        shutil.copytree(rng.choice(runs), root / "study" / name)
        (root / "study" / name / "rounds.jsonl").write_text("junk\n")
    sweep = root / ".sweeps" / "<i>2026"
    sweep.mkdir(parents=True)
    states = ("failed", "stopped", "<u>")
    for i in range(5):
        given = ["name=study", f"alg={rng.choice(PAYLOADS)}"]
        job = {"overrides": given, "state": rng.choice(states), "error": rng.choice(VALUES)}
        (sweep / f"{i}.json").write_text(json.dumps(job))
    (sweep / "planned").write_bytes(
        rng.choice((*RAW, json.dumps([["name=study", p] for p in PAYLOADS]).encode()))
    )
    spoil_job = rng.choice((_special, _raw))
    spoil_job(sweep / "3.json", rng)
    return done


def unseal(folder: Path) -> None:
    """Make a record one of an older version, which holds no settings and no digest of itself."""
    path = folder / "provenance.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in about.items() if key != "settings"}))


class Seen(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def check_report(arguments: list[str], out: Path) -> str:
    """Make a report and check that nothing of a record acts; return what it said on stderr.

    Raises:
        AssertionError: it does.
    """
    said, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(errors):
        status = main([*arguments, "--out", str(out)])
    lines = said.getvalue().splitlines() + errors.getvalue().splitlines()
    assert status in (0, 1), status
    assert all(line.isprintable() for line in lines), lines
    assert "Traceback" not in errors.getvalue()
    assert all(line.startswith(("not readable: ", "error: ")) for line in errors.getvalue().splitlines())
    if status == 0:
        check_files(out)
    else:
        assert not out.exists()
    return errors.getvalue()


def check_page(page: Seen, pages: list[str]) -> None:
    """Check that a page asks for nothing but itself, and links to nothing but `pages`."""
    assert page.tags["script"] == 2
    assert not page.tags.keys() & {"u", "iframe", "object", "form", "base"}, page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name, value)
        is_link = name in ("src", "href", "xlink:href")
        is_inside = value.startswith(("data:", "#")) or (tag == "a" and value.partition("#")[0] in pages)
        assert not is_link or is_inside, (tag, name, value[:80])


def check_files(out: Path) -> None:
    """Check the page, the tables and the figures of a report."""
    pages = [path.name for path in out.glob("*.html")]
    assert "index.html" in pages
    for name in pages:
        check_page(Seen((out / name).read_text()), pages)
    for path in out.iterdir():
        content = path.read_bytes()
        assert CANARY.encode() not in content, path
        assert path.suffix in (".png", ".pdf") or not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f]", content), path
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                for row in csv.reader(file):
                    for cell in row:
                        assert not cell.startswith(tuple("=+@\t\r")), (path, cell)
                        assert not cell.startswith("-") or float(cell) <= 0, (path, cell)
    assert "\\input" not in (out / "numbers.tex").read_text()


def campaign(n: int, first: int = 0) -> None:
    """Make `n` reports of hostile studies."""
    os.environ["HETAL_CANARY"] = CANARY
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        good = good_study(Path(scratch) / "good")
        for seed in range(first, first + n):
            rng = random.Random(seed)
            root = Path(scratch) / f"{seed}"
            done = hostile_study(good, root, rng)
            try:
                said = check_report([str(root / "study")], Path(scratch) / "out")
            except BaseException:
                print(f"seed {seed}:", *done, sep="\n  ")
                raise
            counts["records"] += AT_ONCE
            counts["said to be not readable"] += said.count("not readable")
            shutil.rmtree(root)
            shutil.rmtree(Path(scratch) / "out", ignore_errors=True)
    print(dict(counts))


if __name__ == "__main__":
    campaign(*map(int, sys.argv[1:]))
