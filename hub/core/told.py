"""What a run tells of itself, in its log and in its run.json: for showing, never for deciding.

The student's own code prints into the same log, and can write whatever it likes into run.json.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.core.notebook import Json, sayable

_CELL = re.compile(r"^madang: cell (\d{1,6})/(\d{1,6})\s*$", re.MULTILINE)
_STEP = re.compile(r"^madang: progress (\d{1,9})/(\d{1,9})\s*$", re.MULTILINE)
_SAID = re.compile(r"^madang: (?!cell |progress )[a-z-]+ ?(.*)$", re.MULTILINE)
_NAME_MOST, _METRICS_MOST = 64, 100
_VALUE_MOST = 2000  # characters of one value as JSON: a list of losses, not a data set
_ALL_MOST = 8000  # characters of all of them: they stand in every list of runs
_ERROR_MOST, _LINE_MOST = 2000, 300  # characters of an error's text, and of a line of its source
_DEEPEST = 16  # lists and mappings in each other; what writes JSON for the browser takes 255
_INTEGER_MOST = 2**63
_MIB_MOST = 2**31


@dataclass(frozen=True)
class Told:
    """What is kept of a run.json beside the file: what lists and pages show at once."""

    metrics: Mapping[str, Json] = field(default_factory=dict)
    error: Mapping[str, Json] | None = None
    memory_peak_mib: int | None = None
    gpu_memory_peak_mib: int | None = None


def progress_of(text: str) -> tuple[int, int, str]:
    """(cell begun last, cells, last word of the runner) out of a run's log; zeros before the first.

    The student's own code prints into the same log: this is for showing, never for deciding.
    """
    said = _SAID.findall(text)
    return (*_last(_CELL, text), said[-1].strip()[:500] if said else "")


def steps_of(text: str) -> tuple[int, int]:
    """(steps done, steps) of what the notebook counts itself; zeros before it has said any."""
    return _last(_STEP, text)


def _last(pattern: re.Pattern[str], text: str) -> tuple[int, int]:
    found = pattern.findall(text)
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def record_of(text: bytes | None) -> Mapping[str, Any]:
    """A run.json as JSON that a database can keep; empty where it is none."""
    try:
        found = _json(json.loads(text or b""))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def told(record: Mapping[str, Any]) -> Told:
    """What a run.json says, as far as it can be believed to be small and well formed."""
    resources = record.get("resources")
    resources = resources if isinstance(resources, dict) else {}
    return Told(
        _metrics(record.get("metrics")), _error(record.get("error")),
        _mib(resources.get("peak_rss_mib")), _mib(resources.get("gpu_memory_peak_mib")),
    )


def _metrics(found: object) -> dict[str, Json]:
    if not isinstance(found, dict):
        return {}
    kept: dict[str, Json] = {}
    room = _ALL_MOST
    for name, value in ((str(k)[:_NAME_MOST], _json(x)) for k, x in found.items()):
        size = len(name) + len(json.dumps(value))
        if size <= min(room, _VALUE_MOST) and len(kept) < _METRICS_MOST:
            kept[name] = value
            room -= size
    return kept


def _error(found: object) -> dict[str, Json] | None:
    if not isinstance(found, dict):
        return None
    cell = found.get("cell")
    kept: dict[str, Json] = {
        k: str(found[k])[-_ERROR_MOST:] for k in ("ename", "evalue", "id")
        if found.get(k) is not None
    }
    lines = found.get("lines")
    kept["lines"] = [
        str(x)[:_LINE_MOST] for x in lines[-20:]
    ] if isinstance(lines, list) else []
    return {"cell": cell if isinstance(cell, int) else None, **kept}


def _json(value: object, deep: int = _DEEPEST) -> Json:
    """The value as strict JSON: NaN, infinity and what no other program can read are texts."""
    if isinstance(value, list | dict) and not deep:
        return "…"
    if isinstance(value, list):
        return [_json(x, deep - 1) for x in value]
    if isinstance(value, dict):
        return {_clean(str(k)): _json(x, deep - 1) for k, x in value.items()}
    if isinstance(value, str):
        return _clean(value)
    return _number(value) if isinstance(value, int | float) else None


def _number(value: float) -> Json:
    """A bool is one."""
    large = isinstance(value, int) and abs(value) >= _INTEGER_MOST
    return str(value) if large or not math.isfinite(value) else value


def _clean(text: str) -> str:
    """No NUL and no half character: PostgreSQL takes neither."""
    return sayable(text).replace("\0", "")


def _mib(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < _MIB_MOST else None
