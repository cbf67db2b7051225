"""A notebook with nothing left in it but what can be read: for pages that are made of it.

Built anew from what is known, never by taking out what is bad: nbconvert writes some of the rest
into its page as it is, also when it sanitises (an image's `width`, Mermaid's text).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hub.core.notebook import sayable, text_of
from hub.core.pictures import KINDS, picture

# what the page that is made of it may do, in a header and in itself; `sandbox` counts in a header
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_KINDS = frozenset({"code", "markdown", "raw"})
_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,30}")
_ATTACHED = re.compile(r"attachment:([^\s)\]\"'<>]*)")
_SOURCE, _TEXT, _RICH = 100_000, 100_000, 300_000  # characters: of a cell, of a text, of HTML
_OUTPUTS = 200  # of one cell
_TRACEBACK = 200  # lines
_PICTURE = 8 << 20  # bytes
_RICH_KINDS = ("text/html", "text/markdown", "text/latex")


def scrubbed(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook with its cells, texts, and those outputs that a page can show; no metadata."""
    cells = notebook.get("cells")
    found = (_cell(i, x) for i, x in enumerate(cells if isinstance(cells, list) else []))
    return {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"language_info": {"name": _language(notebook)}},
        "cells": [x for x in found if x is not None],
    }


def _language(notebook: Mapping[str, Any]) -> str:
    metadata = notebook.get("metadata")
    info = metadata.get("language_info") if isinstance(metadata, Mapping) else None
    name = info.get("name") if isinstance(info, Mapping) else None
    return name if isinstance(name, str) and _LANGUAGE.fullmatch(name) else "python"


def _cell(place: int, found: object) -> dict[str, Any] | None:
    if not isinstance(found, Mapping) or found.get("cell_type") not in _KINDS:
        return None
    kind = found["cell_type"]
    made: dict[str, Any] = {
        "cell_type": kind, "id": f"c{place + 1}", "metadata": {},
        "source": _cut(text_of(found.get("source")), _SOURCE),
    }
    if kind == "code":
        outputs = found.get("outputs")
        made |= {
            "execution_count": _count(found),
            "outputs": list(_outputs(outputs if isinstance(outputs, list) else [])),
        }
    if kind == "markdown":
        made |= _attached(found, made["source"])
    return made


def _attached(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The pictures inside a text cell; a name without one would end nbconvert."""
    given = found.get("attachments")
    kept = {
        name: data for name, x in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(name, str) and isinstance(x, Mapping) and (data := _picture(x))
    }

    def named(match: re.Match[str]) -> str:
        return match[0] if match[1] in kept else f"missing:{match[1]}"

    return {"source": _ATTACHED.sub(named, source), **({"attachments": kept} if kept else {})}


def _count(found: Mapping[str, Any]) -> int | None:
    count = found.get("execution_count")
    return count if isinstance(count, int) and 0 <= count < 10**9 else None


def _outputs(found: list[Any]) -> Iterator[dict[str, Any]]:
    for one in found[:_OUTPUTS]:
        made = _output(one) if isinstance(one, Mapping) else None
        if made is not None:
            yield made
    if len(found) > _OUTPUTS:
        yield _stream("stderr", f"… {len(found) - _OUTPUTS} …")


def _output(one: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = one.get("output_type")
    if kind == "stream":
        name = "stderr" if one.get("name") == "stderr" else "stdout"
        return _stream(name, _tail(text_of(one.get("text")), _TEXT))
    if kind == "error":
        lines = one.get("traceback")
        texts = [x for x in lines if isinstance(x, str)] if isinstance(lines, list) else []
        return {
            "output_type": "error", "ename": "", "evalue": "",
            "traceback": [_cut(x, _TEXT // _TRACEBACK * 10) for x in texts[-_TRACEBACK:]],
        }
    data = one.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, Mapping):
        return None
    made = {"output_type": kind, "metadata": {}, "data": _shown(data)}
    return made | ({"execution_count": _count(one)} if kind == "execute_result" else {})


def _stream(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def _shown(data: Mapping[str, Any]) -> dict[str, str]:
    """One way to show it: what is rich and not too large, a picture, or plain text."""
    for kind in _RICH_KINDS:
        text = text_of(data.get(kind))
        if text and len(text) <= _RICH:
            return {kind: sayable(text)}
    return _picture(data) or {"text/plain": _tail(text_of(data.get("text/plain")), _TEXT)}


def _picture(data: Mapping[str, Any]) -> dict[str, str]:
    for kind in KINDS:
        text = text_of(data.get(kind))
        found = picture(kind, text, largest=_PICTURE) if text else None
        if found and found.uri:
            return {kind: found.uri.partition(",")[2]}
    return {}


def _cut(text: str, most: int) -> str:
    return sayable(text if len(text) <= most else f"{text[:most]}…")


def _tail(text: str, most: int) -> str:
    """The end of it: what a training printed last."""
    return sayable(text if len(text) <= most else f"…{text[-most:]}")
