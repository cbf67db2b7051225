"""What a notebook is, as far as the host has to know: its cells, and its parameters."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import BadInput

Json = None | bool | int | float | str | list[Any] | dict[str, Any]

_FORMAT = 4
_MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
_SOURCE_MOST = 16 * 1024  # characters: ast takes seconds and gigabytes for a notebook made to hurt
_PARAMETERS_MOST = 64 * 1024  # characters as JSON: each look at open runs reads them
_COMMIT_MOST = 64


@dataclass(frozen=True)
class Parameter:
    """One name that the notebook's `parameters` cell sets; `default` is source text."""

    name: str
    default: str
    type: str = ""
    help: str = ""


def check_notebook(notebook: object, name: str) -> None:
    """Refuse what is not a notebook of format 4; nbformat in the image validates the rest.

    Raises:
        BadInput: saying what is missing.
    """
    if not isinstance(notebook, Mapping) or not isinstance(notebook.get("cells"), list):
        raise BadInput(
            "{name} is not a notebook: it has no list of cells.", reason="not-a-notebook", name=name
        )
    if notebook.get("nbformat") != _FORMAT:
        raise BadInput(
            "{name} is a notebook of format {found}; open it once in JupyterLab and save it, "
            "then it is of format 4.", reason="not-a-notebook", name=name,
            found=str(notebook.get("nbformat")),
        )
    for cell in notebook["cells"]:
        if not isinstance(cell, Mapping) or not isinstance(cell.get("metadata", {}), Mapping):
            raise BadInput(
                "{name} is not a notebook: a cell is broken.", reason="not-a-notebook", name=name
            )


def parameters_of(notebook: Mapping[str, Any]) -> tuple[Parameter, ...] | None:
    """The parameters a Python notebook declares in its cell tagged `parameters` (papermill's rule).

    None where that cannot be told: another language, code that does not parse, or more of it than
    a service should parse for one person. The runner in the container looks again.
    """
    meta = _mapping(notebook.get("metadata"))
    spec, info = _mapping(meta.get("kernelspec")), _mapping(meta.get("language_info"))
    language = str(spec.get("language") or info.get("name") or "python")
    for cell in notebook.get("cells", []):
        if "parameters" in _tags(cell):
            return _declared(text_of(cell.get("source"))) if language == "python" else None
    return ()


def check_parameters(notebook: Mapping[str, Any], given: Mapping[str, Json]) -> None:
    """Refuse names that the notebook does not know; papermill itself would only warn.

    Raises:
        BadInput: naming the unknown ones and what the notebook knows; or values of over 64 KiB.
    """
    if len(json.dumps(given)) > _PARAMETERS_MOST:
        raise BadInput(
            "Parameters may have {most} characters together; put larger data into a file.",
            reason="parameters-too-large", most=_PARAMETERS_MOST,
        )
    found = parameters_of(notebook)
    if found is None:
        return
    known = [p.name for p in found]
    unknown = sorted(set(given) - set(known))
    if not unknown:
        return
    if not known:
        raise BadInput(
            "The notebook takes no parameters: it has no cell tagged “parameters”. "
            "Add the tag in Lab (gear icon, Cell Tags), or leave {unknown} out.",
            reason="unknown-parameter", unknown=", ".join(unknown),
        )
    raise BadInput(
        "The notebook does not know the parameter {unknown}. It knows: {known}.",
        reason="unknown-parameter", unknown=", ".join(unknown), known=", ".join(known),
    )


def text_of(source: object) -> str:
    """A cell's source: text, or nbformat's list of lines; whatever else a file holds is no text."""
    if isinstance(source, list):
        return "".join(x for x in source if isinstance(x, str))
    return source if isinstance(source, str) else ""


def sayable(text: str) -> str:
    """The text as UTF-8 can hold it: JSON's grammar allows half a character, which no page can."""
    return text.encode("utf-8", "replace").decode()


def _tags(cell: object) -> list[object]:
    tags = _mapping(_mapping(cell).get("metadata")).get("tags")
    return tags if isinstance(tags, list) else []


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _declared(source: str) -> tuple[Parameter, ...] | None:
    """What Python source sets at its top level; None where it is too long or does not parse."""
    if len(source) > _SOURCE_MOST:
        return None
    try:
        body = ast.parse(_MAGIC.sub("", source)).body
        return tuple(p for node in body for p in _parameters(node))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parameters(node: ast.stmt) -> list[Parameter]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        kind = ast.unparse(node.annotation)
        return [Parameter(node.target.id, ast.unparse(node.value), kind)]
    if not isinstance(node, ast.Assign):
        return []
    value = ast.unparse(node.value)
    return [Parameter(t.id, value) for t in node.targets if isinstance(t, ast.Name)]


def commit_of(notebook: Mapping[str, Any]) -> str:
    """The commit that the notebook says it is of; "" where it does not."""
    found = _mapping(_mapping(notebook.get("metadata")).get("madang")).get("commit")
    return found[:_COMMIT_MOST] if isinstance(found, str) else ""
