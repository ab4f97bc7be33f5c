"""Read the package as syntax: its modules, what they import and what they name. Nothing is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "oci_push"


@dataclass(frozen=True)
class Module:
    """Hold one file of the package. `name` is dotted, without `__init__`."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def where(self) -> str:
        """Give the path within the project."""
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def is_package(self) -> bool:
        """Tell whether it is an `__init__` file."""
        return self.path.name == "__init__.py"

    @property
    def room(self) -> str:
        """Give the part directly under the package that it is or lies in; empty for the root `__init__`."""
        return self.name.split(".")[1] if "." in self.name else ""


@dataclass(frozen=True, slots=True)
class Import:
    """Hold one imported module or name: `target` is dotted and absolute."""

    target: str
    line: int


@cache
def modules() -> tuple[Module, ...]:
    """Read every file of the package."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


@cache
def imports(tree: ast.Module) -> tuple[Import, ...]:
    """Give every import, wherever it stands: in functions and under `TYPE_CHECKING` too.

    `from a.b import c` gives `a.b.c`: whether `c` is a module is for the caller to tell. Relative ones keep their dots.
    """
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            found.extend(Import(f"{start}.{alias.name}", node.lineno) for alias in node.names)
    return tuple(found)


@cache
def own_imports(module: Module) -> tuple[tuple[str, int], ...]:
    """Give the modules of the package that `module` imports, with the line."""
    known = {each.name for each in modules()}
    return tuple(
        (each.target if each.target in known else each.target.rpartition(".")[0], each.line)
        for each in imports(module.tree)
        if each.target.split(".")[0] == PACKAGE.name
    )


def uses(tree: ast.Module, *dotted: str) -> Iterator[tuple[str, int]]:
    """Give the uses of names such as `time.sleep`, however they were imported; `.name` is an attribute of anything."""
    yield from ((name, line) for name, line in _names(tree) if name in dotted)


@cache
def _names(tree: ast.Module) -> tuple[tuple[str, int], ...]:
    # Every test of a rule looks at every file: the names are read once.
    aliases = _aliases(tree)
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            found.append((_resolve(node, aliases), node.lineno))
        if isinstance(node, ast.Attribute):
            found.append((f".{node.attr}", node.lineno))
    return tuple(found)


def _aliases(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _resolve(node: ast.expr, aliases: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_resolve(node.value, aliases)}.{node.attr}"
    return "?"


def _read(path: Path) -> Module:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text()
    return Module(name, path, text, ast.parse(text, str(path)))


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every name that code gives or uses, and every text of a single word, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.value.lineno
            case ast.alias(name=name, asname=asname):
                yield asname or name.rpartition(".")[2], node.lineno
            case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.:-]+", text):
                yield text, node.lineno
