"""Our Python files and what they import, read without running them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "images/notebook/madang"


@dataclass(frozen=True)
class Import:
    """One imported module, absolute, and where."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def files(*folders: str) -> tuple[Path, ...]:
    return tuple(
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts and "node_modules" not in path.parts
    )


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path, top: Path = ROOT) -> Iterator[Import]:
    """What the file at `path` imports; relative imports made absolute below `top`."""
    name = str(path.relative_to(ROOT))
    package = path.relative_to(top).with_suffix("").parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(name, node.lineno, module)
            # `from hub import metrics` imports the module hub.metrics
            for alias in node.names:
                if _is_module(f"{module}.{alias.name}"):
                    yield Import(name, node.lineno, f"{module}.{alias.name}")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring: contracts may be as long as they must."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        whole -= (first.end_lineno or 0) - first.lineno + 1
    return whole


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
