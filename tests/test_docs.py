"""The documentation is true: its examples run, what it names exists, and its tables list what the code has.

A fenced block is an example where its first line says so: `python run` and `bash run` are run, in the order of the page
and in one temporary folder; `python file=NAME` and `yaml file=NAME` are written there first. Runs are made tiny.
"""

import contextlib
import dataclasses
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from benchmarks import noise_figure
from hetal.evaluate import summarise
from hetal.noise.__main__ import main as show_noise
from hetal.record.measures import OF_A_ROUND
from hetal.record.schema import PoolContent, Purchase, Round
from hetal.record.settings import CHANGES_NOTHING
from tests.command_line import REPOSITORY, TOY, environment, options, start

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name != "NEGATIVE.md"]  # which names what is no longer there

BLOCK = re.compile(r"^```(\w+) (run|file=(\S+))\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LAUNCH = (["python", "launch.py"], ["hetal"])


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """Return what a page of docs/ says under a heading, up to the next of its level or above."""
    (found,) = re.findall(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#|\Z)", text_of(DOCS / page), re.M | re.S)
    return found[1]


def first_column(text: str) -> list[str]:
    """Return all names in the first column of the tables in `text`, in order."""
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([\w./<>-]+)`", cell)]


def run_python(code: str, page: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, f"an example of {named(page)}", "exec"), {"__name__": "__main__"})


def run_line(line: str, folder: Path) -> None:
    words = shlex.split(line, comments=True)
    env = {}
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, env[name] = words.pop(0).split("=", 1)
    for command in LAUNCH:
        if words[: len(command)] == command:
            typed = words[len(command) :]
            keys = {word.split("=")[0].lstrip("+") for word in typed}
            tiny = [setting for setting in TOY if setting.split("=")[0] not in keys]
            process = start(*typed, *tiny, cwd=folder, env=env)
            out, errors = process.communicate()
            assert process.returncode == 0, f"{line}\n{out}{errors}"
            return
    if words[:3] == ["python", "-m", "hetal.noise"]:
        assert show_noise(words[3:]) == 0, line
        return
    assert words[:2] == ["python", "-m"], f"{line}: what kind of example is this?"
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(text_of(page))], ids=named)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    try:
        for language, what, name, code in BLOCK.findall(text_of(page)):
            if name:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(code)
                importlib.invalidate_caches()
            elif language == "python":
                run_python(code, page)
            else:
                assert (language, what) == ("bash", "run")
                for line in code.replace("\\\n", " ").splitlines():
                    run_line(line, tmp_path)
    finally:
        for module in set(sys.modules) - modules:
            if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
                del sys.modules[module]


def test_every_page_of_a_concept_has_examples():
    for name in ("EXTENDING", "POOLS", "RECORD", "STRATEGIES"):
        assert " run\n" in "".join(re.findall(r"^```.*\n", text_of(DOCS / f"{name}.md"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(other), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_files_and_names_of_the_code_exist(page):
    text = text_of(page)
    names = re.findall(r"`((?:hetal|tests|conf|benchmarks|docs|hydra_plugins|\.ci)/[^`\s]*)`", text)
    for name in names:
        assert list(REPOSITORY.glob(name.rstrip("/"))), name
    for name in re.findall(r"`(hetal(?:\.\w+)+)`", text):
        assert exists(name), name


def exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            thing = importlib.import_module(".".join(parts[:n]))
            for part in parts[n:]:
                if not hasattr(thing, part):
                    return False
                thing = getattr(thing, part)
            return True
    return False


def test_contributing_says_where_to_change_what():
    rows = first_column_texts(text_of(REPOSITORY / "CONTRIBUTING.md"))
    for thing in (
        "metric", "noise", "strategy", "network", "data set", "optimiser", "launcher", "statistic", "tracker",
        "console", "page", "setting",
    ):  # fmt: skip
        (files,) = [files for what, files in rows if re.search(rf"\b{thing}\b", what)]
        assert files.count("`") >= 2, thing


def first_column_texts(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)


def test_every_noise_has_a_picture_of_the_pool_that_the_command_makes():
    shown = re.findall(r"\]\(figures/noise/(\w+)\.png\)", section("POOLS.md", "Pictures"))
    assert sorted(shown) == options("noise")
    for name in shown:
        path = noise_figure.FOLDER / f"{name}.png"
        assert Image.open(path).size == (1056, 462)
        assert path.stat().st_size < 60_000


@pytest.mark.parametrize(
    ("page", "heading", "group"),
    [
        ("STRATEGIES.md", "All of them", "alg"),
        ("POOLS.md", "Noise", "noise"),
        ("DATA.md", "Data sets", "data"),
    ],
)
def test_a_table_lists_the_options_of_a_group(page, heading, group):
    assert sorted(first_column(section(page, heading))) == options(group)


def test_the_settings_page_says_which_settings_cannot_change_a_result():
    (listed,) = re.findall(
        r"These settings cannot change a result[^:]*:(.*?)\.\n\n", text_of(DOCS / "SETTINGS.md"), re.S
    )
    assert sorted(re.findall(r"`([\w.]+)`", listed)) == sorted(CHANGES_NOTHING)


def test_the_record_page_lists_the_fields_of_a_round():
    fields = [field.name for field in dataclasses.fields(Round)]
    assert sorted(first_column(section("RECORD.md", "A round: `rounds.jsonl`"))) == sorted(fields)


def test_the_record_page_says_which_direction_is_better_as_the_table_of_measures_does():
    rows = re.findall(
        r"^\| (`.*?`) \| [^|]*\| ?(\w*) ?\|", section("RECORD.md", "A round: `rounds.jsonl`"), re.MULTILINE
    )
    written = {name: better for names, better in rows for name in re.findall(r"`(\w+)`", names)}
    known = {m.key.partition("/")[0]: m.better or "" for m in OF_A_ROUND}
    assert {name: better for name, better in written.items() if name in known} == known


def test_the_record_page_lists_the_fields_of_a_summary():
    row = {field.name: 0 for field in dataclasses.fields(Round)} | {"seconds": {"train": 1.0}}
    summary = summarise([Round(**row)], [], base_rate=None)
    listed = first_column(section("RECORD.md", "The end: `summary.json`"))
    assert sorted(listed) == sorted([*summary, "digest"])


def test_the_record_page_lists_what_is_said_of_the_pool():
    listed = first_column(section("RECORD.md", "The pool: `pool` in `provenance.json`"))
    assert listed == [*PoolContent.__annotations__]


def test_the_record_page_lists_the_columns_of_the_queries():
    columns = ["round", *(field.name for field in dataclasses.fields(Purchase))]
    assert sorted(first_column(section("RECORD.md", "Purchases: `queries.npz`"))) == sorted(columns)


def test_the_citation_is_valid_and_of_this_version():
    cff = yaml.safe_load(text_of(REPOSITORY / "CITATION.cff"))
    assert cff["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "type", "license"} <= cff.keys()
    assert all({"name", "family-names"} & author.keys() for author in cff["authors"])
    assert cff["version"] == importlib.import_module("hetal").__version__
    (paper,) = cff["references"]
    assert {"type", "title", "authors", "year"} <= paper.keys()
    assert "2211.00928" in str(paper["identifiers"])
    assert (REPOSITORY / "README.md").read_text().count("2211.00928") >= 1


def test_changes_begin_with_what_is_unreleased():
    headings = re.findall(r"^## (.*)$", text_of(REPOSITORY / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_hooks_before_a_commit_are_the_linter_s_and_the_formatter_s():
    config = yaml.safe_load(text_of(REPOSITORY / ".pre-commit-config.yaml"))
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert any("ruff check" in entry for entry in entries)
    assert any("ruff format" in entry for entry in entries)
