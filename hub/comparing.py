"""What is done with whole notebooks of strangers, aside from the service: see `edge.aside`.

Each is bytes in and bytes out (JSON or HTML): it runs in a process of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from hub.core.compare import Cell, CellChange, Comparison, Fate, Line, Pairs, compared
from hub.core.glance import Glance, glance_of
from hub.core.pictures import Picture


def compare(before: bytes, after: bytes) -> bytes:
    """Two output notebooks beside each other: a Comparison as JSON."""
    return _dumped(compared(_notebook(before), _notebook(after), _alike))


def compare_sources(before: bytes, after: bytes) -> bytes:
    """The same for two versions of a course's notebook, in which outputs do not count."""
    return _dumped(compared(_bare(before), _bare(after), _alike))


def compare_texts(before: bytes, after: bytes) -> bytes:
    """Two files that are no notebooks: a Comparison of one cell, as JSON."""
    return _dumped(compared(_one_cell(before), _one_cell(after)))


def glance(notebook: bytes) -> bytes:
    """What there is to see in one: a Glance as JSON."""
    return _dumped(glance_of(_notebook(notebook)))


def page(notebook: bytes) -> bytes:
    """One as an HTML page in which nothing runs."""
    from hub.edge.paper import html

    return html(_notebook(notebook))


def comparison_of(text: bytes) -> Comparison:
    """What `compare` gave."""
    found = json.loads(text)
    cells = (
        CellChange(**x | {
            "fate": Fate(x["fate"]), "lines": tuple(Line(**y) for y in x["lines"]),
            "pictures": tuple(map(_pictures, x["pictures"])),
        }) for x in found["cells"]
    )
    return Comparison(**found | {"cells": tuple(cells)})


def glance_from(text: bytes) -> Glance:
    """What `glance` gave."""
    found = json.loads(text)
    return Glance(_pictures(found["pictures"]), tuple(found["error"]))


def _alike(before: Sequence[Cell], after: Sequence[Cell]) -> Pairs:
    # nbdime takes seconds to import; most comparisons do without: ids and sources pair all cells
    from hub.edge.diffing import alike

    return alike(before, after)


def _bare(text: bytes) -> Mapping[str, Any]:
    """A notebook without outputs; b"" is one without cells."""
    found = _notebook(text or b"{}")
    cells = found.get("cells")
    return {"cells": [
        {k: v for k, v in x.items() if k != "outputs"} if isinstance(x, dict) else x
        for x in (cells if isinstance(cells, list) else [])
    ]}


def _one_cell(text: bytes) -> Mapping[str, Any]:
    """A file as a notebook: what differs in it is then said in the same way."""
    if not text:
        return {"cells": []}
    if b"\0" in text[:8192]:
        source = f"({len(text)} B, {sha256(text).hexdigest()[:12]})"
    else:
        source = text.decode(errors="replace")
    return {"cells": [{"cell_type": "raw", "id": "file", "source": source}]}


def _pictures(found: list[dict[str, Any]]) -> tuple[Picture, ...]:
    return tuple(Picture(**x) for x in found)


def _dumped(made: Comparison | Glance) -> bytes:
    # ASCII: a lone surrogate in a source is text for JSON and cannot be written as UTF-8
    return json.dumps(asdict(made)).encode()


def _notebook(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("not a notebook")
    return found
