"""Figures that a notebook wants kept: `madang.record(accuracy=0.97)`."""

import json
import math
import os
from pathlib import Path
from typing import Any

from madang.files import write_atomic

NAME = "metrics.json"


def record(**figures: Any) -> None:
    """Keep `figures` beside the run's notebook and in its run.json; a later value replaces one.

    Values: whatever JSON knows; a NumPy or torch scalar is taken by its `item()`. Outside a run
    (in Lab) they are only printed, so that a notebook is the same in both places.

    Raises:
        TypeError: a value that is neither.
    """
    figures = {k: _plain(v) for k, v in figures.items()}
    print("recorded", "  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}"
                                for k, v in figures.items()))
    folder = os.environ.get("RUN_DIR")
    if folder:
        path = Path(folder) / NAME
        write_atomic(path, json.dumps(read(path.parent) | figures, indent=1, ensure_ascii=False))


def read(folder: Path) -> dict[str, Any]:
    """The figures recorded in a run's folder; none if there are none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN, and a loss that is NaN must not read as none
    json.dumps(value)
    return value
