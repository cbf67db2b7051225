"""The figures of a run that has ended: recorded, glued, or else the last line of JSON printed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from madang import results

# scrapbook's own `glue` chooses an encoder; others hold tables, which are no figures
_SCRAPS = (results.GLUE, "application/scrapbook.scrap.text+json")
_LEFT_OUT = 5  # names told


def of_run(folder: Path, cells: Sequence[Any]) -> tuple[dict[str, Any], str]:
    """(name → value as JSON holds it, a warning or ""); at most 64 KiB of them.

    What was recorded goes before what was glued under the same name; printed lines count only
    where there is neither.
    """
    glued = dict(_glued(cells))
    found = glued | results.read(folder) or _printed(cells)
    kept, dropped = _bounded(dict(_plain(found)))
    if not dropped:
        return kept, ""
    some = ", ".join(dropped[:_LEFT_OUT]) + ("" if len(dropped) <= _LEFT_OUT else ", …")
    return kept, (
        f"the figures of a run may have {results.MOST >> 10} KiB together; left out: {some}"
    )


def _glued(cells: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for output in _outputs(cells, "display_data", "execute_result"):
        for kind in _SCRAPS:
            scrap = output.get("data", {}).get(kind)
            if isinstance(scrap, Mapping) and isinstance(scrap.get("name"), str):
                yield scrap["name"], scrap.get("data")


def _printed(cells: Sequence[Any]) -> dict[str, Any]:
    for output in reversed(list(_outputs(cells, "stream"))):
        if output.get("name") == "stdout":
            for line in reversed("".join(output.get("text", "")).splitlines()):
                found = _figures(line.strip())
                if found:
                    return found
    return {}


def _figures(line: str) -> dict[str, Any]:
    """A line that is a JSON object of numbers and texts; {} for any other."""
    if not (line.startswith("{") and line.endswith("}") and len(line) <= results.MOST):
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    flat = all(isinstance(x, str | bool | int | float) for x in found.values())
    return found if flat else {}


def _outputs(cells: Sequence[Any], *kinds: str) -> Iterator[Any]:
    for cell in cells:
        for output in cell.get("outputs", ()):
            if output.get("output_type") in kinds:
                yield output


def _plain(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The file and the outputs are the notebook's own: anything may stand there."""
    for name, value in found.items():
        try:
            yield results.named(name), results.plain(value, name)
        except (TypeError, ValueError, RecursionError):
            continue


def _bounded(found: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(what fits, names of what does not), the largest left out first."""
    dropped = []
    sizes = {k: results.size_of({k: v}) for k, v in found.items()}
    while sum(sizes.values()) > results.MOST:
        largest = max(sizes, key=lambda x: sizes[x])
        dropped.append(largest)
        del sizes[largest]
    return {k: found[k] for k in sizes}, dropped
