"""What one run's notebook shows at a glance: its pictures, and the last lines of its error."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.core.compare import cells_of
from hub.core.notebook import sayable
from hub.core.pictures import Picture, Room, pictures_of

_PICTURES = 8  # the last ones: what a notebook comes to stands at its end
_BYTES = 2_000_000
_LINES = 8
_LONGEST = 300  # characters of a line
# colours and cursor movements of a terminal
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Glance:
    """`error`: the last lines of the traceback of the cell that raised; empty where none did."""

    pictures: tuple[Picture, ...] = ()
    error: tuple[str, ...] = ()


def glance_of(notebook: Mapping[str, Any]) -> Glance:
    """What there is to see in a notebook, as it was parsed."""
    outputs = [x for cell in cells_of(notebook) for x in cell.outputs if isinstance(x, Mapping)]
    found = list(pictures_of(outputs))[-_PICTURES:]
    return Glance(Room(_BYTES).look(found), _error(outputs))


def last_lines(text: str | Iterable[object], most: int = _LINES) -> tuple[str, ...]:
    """The last lines that are not empty, as a page can show them: no colours, none too long.

    A text, or lines of which each may be several.
    """
    parts = text.splitlines() if isinstance(text, str) else [
        line for part in text if isinstance(part, str) for line in part.splitlines()
    ]
    plain = (_CONTROLS.sub("", _ANSI.sub("", x)).rstrip() for x in parts[-10 * most:])
    return tuple(sayable(x[:_LONGEST]) for x in plain if x)[-most:]


def _error(outputs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    for one in outputs:
        if one.get("output_type") == "error":
            traceback = one.get("traceback")
            return last_lines(traceback if isinstance(traceback, list) else [])
    return ()
