"""Parameters of a notebook in a form: which there are, and what was typed for them as values."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madang.client import Problem
from madang.messages import t
from madang.typed import value

_MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
_LONGEST = 16 * 1024  # characters; ast takes seconds and gigabytes for source made to hurt
_SHOWN = 60


@dataclass(frozen=True)
class Declared:
    """One name that the notebook's `parameters` cell sets; `default` is source text.

    `kind`: "number", "flag" or "text" where the default or its annotation says so, else "".
    `literal`: whether the default is a value by itself, so that a form may offer it.
    """

    name: str
    default: str
    kind: str
    literal: bool


def declared(notebook: Mapping[str, Any]) -> list[Declared]:
    """The parameters of a Python notebook, in their order; none where that cannot be told."""
    for cell in notebook.get("cells", []):
        tags = cell.get("metadata", {}).get("tags", []) if isinstance(cell, dict) else []
        if "parameters" in tags:
            return _read(_text(cell.get("source")))
    return []


def values(notebook: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, as values of the kind that the notebook declares.

    Left out: a name without a value, and what the form had offered and nobody changed.

    Raises:
        Problem: no name, or a number or a flag is wanted and something else was typed.
    """
    known = {x.name: x for x in declared(notebook)}
    found: dict[str, Any] = {}
    for name, text in given.items():
        wanted = known.get(name)
        if not name.isidentifier():
            raise Problem(t("{name} cannot be the name of a parameter", name=repr(name)))
        if text.strip() and not (wanted and text.strip() == wanted.default):
            found[name] = _typed(name, text.strip(), wanted)
    return found


def shown(given: Mapping[str, Any]) -> dict[str, str]:
    """Values as the form shows and takes them: Python's source."""
    return {name: repr(x) for name, x in given.items()}


def _typed(name: str, text: str, wanted: Declared | None) -> Any:
    found = value(text)
    if wanted is None or not wanted.kind:
        return found
    if wanted.kind == "text":
        # “5” for a text is the text “5”, and quotes around it are not part of it
        return found if isinstance(found, str) or found is None else text
    if isinstance(found, str):
        raise Problem(t(
            "{name} is {default} in the notebook, and {value} is no value of that kind",
            name=name, default=wanted.default, value=repr(text[:_SHOWN]),
        ))
    return found


def _read(source: str) -> list[Declared]:
    if len(source) > _LONGEST:
        return []
    try:
        return [x for node in ast.parse(_MAGIC.sub("", source)).body for x in _declared(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _declared(node: ast.stmt) -> Sequence[Declared]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        return [_one(node.target.id, node.value, ast.unparse(node.annotation))]
    if isinstance(node, ast.Assign):
        return [_one(x.id, node.value, "") for x in node.targets if isinstance(x, ast.Name)]
    return []


_KINDS = {"int": "number", "float": "number", "bool": "flag", "str": "text"}


def _one(name: str, node: ast.expr, annotation: str) -> Declared:
    default = ast.unparse(node)
    try:
        found = ast.literal_eval(node)
    except (ValueError, TypeError):
        return Declared(name, default, _KINDS.get(annotation, ""), literal=False)
    kind = _KINDS.get(annotation) or _KINDS.get(type(found).__name__, "")
    return Declared(name, default, kind, literal=True)


def _text(source: object) -> str:
    """A cell's source: text, or nbformat's list of lines."""
    if isinstance(source, list):
        return "".join(x for x in source if isinstance(x, str))
    return source if isinstance(source, str) else ""
