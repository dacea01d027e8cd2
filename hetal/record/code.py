"""What code computes a run: hetal's own, and that of the packages that its targets come from.

Code counts by what it computes: comments, docstrings and layout do not count, and the same code has the same digest
under every version of Python. What is installed from a distribution counts by name and version.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from typing import Any

from hydra.utils import get_object

import hetal
from hetal.record.digests import cached
from hetal.record.seal import short_hash

# Of this way to digest code; part of what digests are remembered by.
FORM = b"code 1"

# Folders of which the packages are installed, not written by the user.
INSTALLED = {"site-packages", "dist-packages"}

# Hydra's targets that return what their `path` names.
GETTERS = tuple(f"hydra.utils.get_{kind}" for kind in ("class", "method", "object", "static_method"))


def targets(node: Any) -> Iterator[str]:
    """Yield every `_target_` of a config, and what targets that get something by its name get."""
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if isinstance(target, str):
            yield str(node.get("path")) if target in GETTERS else target
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for item in node:
            yield from targets(item)


@functools.cache
def own_code_digest(computes: tuple[str, ...]) -> str:
    """Return a digest of those of hetal's folders and files that compute a result."""
    package = Path(hetal.__file__).parent
    paths = [path for name in computes for path in [package / name, *(package / name).rglob("*.py")]]
    return _digest_and_imports(
        {str(path.relative_to(package)): path for path in paths if path.suffix == ".py"}
    ).split(" ")[0]


def code_versions(found: Iterable[str]) -> dict[str, str]:
    """Say what code the targets of a config are, but for hetal's own.

    A package of the user's counts whole, a module beside no package by itself, and so do those of the user's that
    they import, wherever these are.

    Args:
        found: dotted names, each of something that can be imported.

    Returns:
        "code of mine" to a digest, or the name of a distribution to its version.
    """
    names: dict[str, None] = {}
    for target in found:
        names |= dict.fromkeys(_homes(target))
    said: dict[str, str] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        unit = _unit(name)
        if unit is None or unit[0] in said:
            continue
        key, value, imported = unit
        said[key] = value
        queue += imported
    return dict(sorted(said.items()))


def _homes(target: str) -> Iterator[str]:
    """Yield the top-level names of the modules that a target is named by and defined in."""
    name = target.split(".", 1)[0]
    yield name
    if name != "hetal" and (module := inspect.getmodule(get_object(target))) is not None:
        yield module.__name__.split(".", 1)[0]


@functools.cache
def _unit(name: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Return of a top-level module or package its key, its digest or version, and the users' own that it imports.

    None for hetal, for Python's own, and for what has no files. Asked once a process: what is imported by then is what
    runs, whatever is written to its files later.
    """
    places = _places(name)
    if any(INSTALLED & {*place.parts} for place in places):
        return next(_distribution(name), None)
    files = {relative: path for place in places for relative, path in _files(place)}
    if not files:
        return None
    digest, *imported = _digest_and_imports(files).split(" ")
    return f"code of {name}", digest, tuple(other for other in imported if other != name and _is_users(other))


def _is_users(name: str) -> bool:
    places = _places(name)
    return bool(places) and not any(INSTALLED & {*place.parts} for place in places)


def _places(name: str) -> list[Path]:
    """Return the file of a module or the folders of a package; none for hetal's and Python's own, and for no module."""
    if name == "hetal" or name in sys.stdlib_module_names:
        return []
    module = sys.modules.get(name)
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return []
    if spec is None:  # a script
        file = getattr(module, "__file__", None)
        return [Path(file)] if file else []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of code at `place`, by their names relative to it."""
    above = next((path for path in (place, *place.parents) if path.exists()), place)
    if above.is_file():  # a module, or an archive of them
        yield above.name, above
        return
    seen = set()
    for folder, below, names in os.walk(place, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            below.clear()
            continue
        seen.add(real)
        # What is no identifier can be no package; studies and environments below a project are not its code.
        below[:] = [name for name in below if name.isidentifier() and name != "__pycache__"]
        for name in names:
            if name.endswith((".py", *EXTENSION_SUFFIXES)):
                path = Path(folder, name)
                yield str(path.relative_to(place)), path


def _distribution(name: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    try:
        yield name, importlib.metadata.version(name), ()
    except importlib.metadata.PackageNotFoundError:
        for dist in importlib.metadata.packages_distributions().get(name, ()):
            yield dist, importlib.metadata.version(dist), ()


def _digest_and_imports(files: Mapping[str, Path]) -> str:
    """Return a digest of what files of code compute and of their names, and the top-level names that they import."""
    contents = [(name.encode(), files[name].read_bytes()) for name in sorted(files)]
    raw = short_hash(*(part for pair in contents for part in pair))

    def compute() -> str:
        forms = []
        imported: set[str] = set()
        for name, content in contents:
            tree = _parsed(content) if name.endswith(b".py") else None
            forms += [name, b"raw " + content if tree is None else _form(tree, content)]
            imported |= _imports(tree) if tree is not None else set()
        return " ".join([short_hash(*forms), *sorted(imported)])

    return cached(b"/".join((FORM, sys.version.encode(), raw.encode())), compute)


def _imports(tree: ast.Module) -> set[str]:
    """Return the top-level names that a file imports, but for relative ones."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".", 1)[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".", 1)[0])
    return found


def _parsed(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # as the parser says that it is no Python
        return None


def _form(tree: ast.Module, content: bytes) -> bytes:
    """Return what is left of a file without comments, docstrings and layout."""
    parts: list[str] = []
    try:
        _walk(tree, parts)
    except RecursionError:
        return b"raw " + content
    return "".join(parts).encode()


def _walk(node: Any, parts: list[str]) -> None:
    """Append a text of `node` that is the same under every version of Python: fields that are empty are left out."""
    if isinstance(node, ast.Constant):
        value = node.value  # "kind" tells u"" from "", which are the same
        parts.append(f"{type(value).__name__} {hex(value) if type(value) is int else ascii(value)}")
    elif isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}(")
        for field in sorted(node._fields):
            value = getattr(node, field, None)
            if value is not None and value != []:
                parts.append(f"{field}=")
                _walk(_joined(value) if isinstance(node, ast.JoinedStr) else value, parts)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            if not _does_nothing(item):
                _walk(item, parts)
                parts.append(",")
        parts.append("]")
    else:
        parts.append(f"{type(node).__name__} {node!a}")


def _does_nothing(node: Any) -> bool:
    """Tell whether a node is `pass`, a docstring, or another string by itself."""
    is_string = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass) or (is_string and isinstance(node.value.value, str))


def _joined(values: list[ast.expr]) -> list[Any]:
    """Return the parts of an f-string with neighbouring texts in one: versions of Python cut them in other places."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, ast.Constant) and value.value == "":
            continue
        if isinstance(value, ast.Constant) and found and isinstance(found[-1], ast.Constant):
            found[-1] = ast.Constant(str(found[-1].value) + str(value.value))
        else:
            found.append(value)
    return found
