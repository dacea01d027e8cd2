"""The layers of hetal and of its report: nothing flows back, and no modules import each other in a circle."""

import ast
from graphlib import TopologicalSorter

import pytest

from tests.command_line import REPOSITORY

HETAL = REPOSITORY / "hetal"
REPORT = HETAL / "report"
# What each layer may import, besides itself.
BELOW = {
    "load": set(),
    "stats": set(),
    "analyse": {"load", "stats"},
    "page": {"load", "stats", "analyse"},
    "files": {"load", "stats", "analyse"},
}


def imported_by(path):
    """Return the modules of hetal that a module imports, also where only types need them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hetal":
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "hetal"}
    return found


def modules(layer="**"):
    return {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path
        for path in REPORT.glob(f"{layer}/*.py")
    }


def test_these_are_all_layers():
    assert {path.parent.name for path in REPORT.glob("*/*.py")} == BELOW.keys()


@pytest.mark.parametrize("layer", BELOW)
def test_a_layer_imports_only_what_is_below_it(layer):
    assert modules(layer)
    for name, path in modules(layer).items():
        parts = [module.split(".") for module in imported_by(path) if module.startswith("hetal.report.")]
        assert {part[2] for part in parts} <= {layer, *BELOW[layer]}, name


def test_statistics_know_no_records():
    for path in modules("stats").values():
        assert all(name.startswith("hetal.report.stats") for name in imported_by(path)), path


def test_no_modules_import_each_other_in_a_circle():
    known = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path
        for path in HETAL.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert len(known) > 100
    TopologicalSorter({name: imported_by(path) & known.keys() for name, path in known.items()}).prepare()
