"""Digests of the code that computes a run: hetal's own, and the user's that config targets come from.

Comments, docstrings and layout do not change a digest, and the same code has the same digest under every version of
Python. Installed distributions are identified by name and version instead.
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

# Version of this way to digest code; part of the cache key.
FORM = b"code 1"

# Folders that hold installed packages, not the user's own code.
INSTALLED = {"site-packages", "dist-packages"}

# Hydra's targets that return what their `path` names.
GETTERS = tuple(f"hydra.utils.get_{kind}" for kind in ("class", "method", "object", "static_method"))


def targets(node: Any) -> Iterator[str]:
    """Yield every `_target_` of a config; for Hydra's getters, the `path` that they return."""
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
    """Return a digest of hetal's own folders and files that compute a result."""
    package = Path(hetal.__file__).parent
    paths = [path for name in computes for path in [package / name, *(package / name).rglob("*.py")]]
    return _digest_and_imports(
        {str(path.relative_to(package)): path for path in paths if path.suffix == ".py"}
    ).split(" ")[0]


def code_versions(targets: Iterable[str]) -> dict[str, str]:
    """Return digests or versions of the code that config targets come from, hetal's own left out.

    A user's package is digested whole, a single module by itself; so are the user's modules that they import.

    Args:
        targets: dotted names, each importable.

    Returns:
        "code of NAME" to a digest, or the name of a distribution to its version.
    """
    modules: dict[str, None] = {}
    for target in targets:
        modules |= dict.fromkeys(_top_level_modules(target))
    versions: dict[str, str] = {}
    queue = list(modules)
    while queue:
        name = queue.pop()
        code = _module_code(name)
        if code is None or code[0] in versions:
            continue
        key, value, imported = code
        versions[key] = value
        queue += imported
    return dict(sorted(versions.items()))


def _top_level_modules(target: str) -> Iterator[str]:
    """Yield the top-level modules that a target is named by and defined in."""
    name = target.split(".", 1)[0]
    yield name
    if name != "hetal" and (module := inspect.getmodule(get_object(target))) is not None:
        yield module.__name__.split(".", 1)[0]


@functools.cache
def _module_code(name: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Return the key of a top-level module, its digest or version, and the user's modules that it imports.

    None for hetal, the standard library and modules without files. Cached per process: a process runs the code that it
    has imported, whatever is written to the files later.
    """
    paths = _module_paths(name)
    if any(INSTALLED & {*path.parts} for path in paths):
        return next(_distribution(name), None)
    files = {relative: file for path in paths for relative, file in _code_files(path)}
    if not files:
        return None
    digest, *imported = _digest_and_imports(files).split(" ")
    return (
        f"code of {name}",
        digest,
        tuple(other for other in imported if other != name and _is_users_own(other)),
    )


def _is_users_own(name: str) -> bool:
    paths = _module_paths(name)
    return bool(paths) and not any(INSTALLED & {*path.parts} for path in paths)


def _module_paths(name: str) -> list[Path]:
    """Return the file of a module or the folders of a package; [] for hetal, the standard library and unknown names."""
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
        return [Path(path) for path in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _code_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the code files at `root`, a file or a folder, with their names relative to it."""
    existing = next((parent for parent in (root, *root.parents) if parent.exists()), root)
    if existing.is_file():  # a module, or an archive of them
        yield existing.name, existing
        return
    visited = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:
            subfolders.clear()
            continue
        visited.add(real)
        # Only identifiers can be packages. This skips studies and virtual environments inside a project.
        subfolders[:] = [name for name in subfolders if name.isidentifier() and name != "__pycache__"]
        for name in names:
            if name.endswith((".py", *EXTENSION_SUFFIXES)):
                parent = Path(folder, name)
                yield str(parent.relative_to(root)), parent


def _distribution(name: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    try:
        yield name, importlib.metadata.version(name), ()
    except importlib.metadata.PackageNotFoundError:
        for dist in importlib.metadata.packages_distributions().get(name, ()):
            yield dist, importlib.metadata.version(dist), ()


def _digest_and_imports(files: Mapping[str, Path]) -> str:
    """Return a digest of code files and their names, then the top-level modules they import, separated by spaces."""
    contents = [(name.encode(), files[name].read_bytes()) for name in sorted(files)]
    raw = short_hash(*(part for pair in contents for part in pair))

    def compute() -> str:
        forms = []
        imported: set[str] = set()
        for name, content in contents:
            tree = _parse_or_none(content) if name.endswith(b".py") else None
            forms += [name, b"raw " + content if tree is None else _canonical_text(tree, content)]
            imported |= _imports(tree) if tree is not None else set()
        return " ".join([short_hash(*forms), *sorted(imported)])

    return cached(b"/".join((FORM, sys.version.encode(), raw.encode())), compute)


def _imports(tree: ast.Module) -> set[str]:
    """Return the top-level modules that a file imports; relative imports are left out."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".", 1)[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules.add(node.module.split(".", 1)[0])
    return modules


def _parse_or_none(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # all that the parser raises for invalid Python
        return None


def _canonical_text(tree: ast.Module, content: bytes) -> bytes:
    """Return the canonical text of a file's syntax tree, without comments, docstrings and layout."""
    parts: list[str] = []
    try:
        _append_canonical(tree, parts)
    except RecursionError:
        return b"raw " + content
    return "".join(parts).encode()


def _append_canonical(node: Any, parts: list[str]) -> None:
    """Append the canonical text of `node`; empty fields are left out, as they differ between versions of Python."""
    if isinstance(node, ast.Constant):
        value = node.value  # `kind` is left out: u"" and "" are the same string
        parts.append(f"{type(value).__name__} {hex(value) if type(value) is int else ascii(value)}")
    elif isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}(")
        for field in sorted(node._fields):
            value = getattr(node, field, None)
            if value is not None and value != []:
                parts.append(f"{field}=")
                _append_canonical(_merged(value) if isinstance(node, ast.JoinedStr) else value, parts)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            if not _is_no_op(item):
                _append_canonical(item, parts)
                parts.append(",")
        parts.append("]")
    else:
        parts.append(f"{type(node).__name__} {node!a}")


def _is_no_op(node: Any) -> bool:
    """Return whether a statement is `pass`, a docstring, or another string by itself."""
    is_string = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass) or (is_string and isinstance(node.value.value, str))


def _merged(values: list[ast.expr]) -> list[Any]:
    """Return the parts of an f-string with adjacent texts merged: versions of Python split them differently."""
    parts: list[Any] = []
    for value in values:
        if isinstance(value, ast.Constant) and value.value == "":
            continue
        if isinstance(value, ast.Constant) and parts and isinstance(parts[-1], ast.Constant):
            parts[-1] = ast.Constant(str(parts[-1].value) + str(value.value))
        else:
            parts.append(value)
    return parts
