"""Figures that a notebook wants kept: `madang.record(accuracy=0.97)`, `madang.glue("loss", x)`."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from madang.display import show
from madang.files import locked, write_atomic

NAME = "metrics.json"
GLUE = "application/scrapbook.scrap.json+json"
MOST = 64 << 10  # bytes of a run's figures as JSON; every list of runs carries them
_NAME_MOST, _SHOWN = 64, 200  # characters of a name, of a value that is printed
_NOTHING = object()


def record(name: str = "", value: Any = _NOTHING, /, **figures: Any) -> None:
    """Keep figures with the run: `record("val/loss", x)` or `record(loss=x, accuracy=y)`.

    They stand in `metrics.json` beside the run's notebook and in its run.json; a later value
    replaces an earlier one. Outside a run (in Lab) they are only printed, so that a notebook is
    the same in both places.

    Args:
        name, value: one figure, where its name is no Python name.
        figures: numbers, texts, lists and dicts of them; a scalar or array of NumPy or torch is
            taken by its value, NaN and infinity as texts, as JSON knows neither.

    Raises:
        TypeError: a name that is no text, or a value that JSON cannot hold.
        ValueError: more than 64 KiB together.
        OSError: the folder of the run cannot be written.
    """
    if (name == "") != (value is _NOTHING):
        raise TypeError('madang.record wants a name and a value: record("loss", 0.3)')
    given = figures if value is _NOTHING else {name: value, **figures}
    figures = {named(k): plain(v, k) for k, v in given.items()}
    folder = os.environ.get("RUN_DIR")
    # several processes of one notebook may record at once
    with locked(Path(folder)) if folder else nullcontext():
        everything = (read(Path(folder)) if folder else {}) | figures
        _check_size(everything)
        if folder:
            write_atomic(Path(folder) / NAME, json.dumps(everything, indent=1, ensure_ascii=False))
    print("recorded", "  ".join(f"{k}={_short(v)}" for k, v in figures.items()))


def glue(name: str, value: Any) -> None:
    """Keep a figure in the notebook itself, as scrapbook's `glue` does; the run's record has it.

    Raises:
        TypeError, ValueError: as `record`.
    """
    value = plain(value, named(name))
    _check_size({name: value})
    text = f"{name} = {_short(value)}"
    scrap = {"name": name, "data": value, "encoder": "json", "version": 1}
    if not show({GLUE: scrap, "text/plain": text}, {"scrapbook": {"name": name, "data": True}}):
        print(text)


def read(folder: Path) -> dict[str, Any]:
    """The figures recorded in a run's folder; none if there are none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def named(name: object) -> str:
    """A figure's name.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(name, str):
        raise TypeError(f"a figure's name is a text, not {type(name).__name__}")
    if not name or len(name) > _NAME_MOST or not name.isprintable():
        raise ValueError(f"a figure's name has 1 to {_NAME_MOST} printable characters: {name!r}")
    return name


def plain(value: Any, name: str) -> Any:
    """`value` as JSON holds it: numbers, texts, lists and dicts of them.

    Raises:
        TypeError: something in it is none of these; `name` is told.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        # as text: JSON has no NaN, and a loss that is NaN must not read as none
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        # a lone surrogate or a NUL is a text for Python and for no file or database
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    if isinstance(value, Mapping):
        return {str(plain(k, name)): plain(v, name) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x, name) for x in value]
    inner = next(_numbers(value), value)
    if inner is not value:
        return plain(inner, name)
    raise TypeError(
        f"{name} is a {type(value).__name__}, which JSON cannot hold; "
        "record numbers, texts, or lists and dicts of them"
    )


def _numbers(value: Any) -> Iterator[Any]:
    """What NumPy, torch and pandas give for a value of theirs: a number, a text or a list."""
    for method in ("item", "tolist"):
        take = getattr(value, method, None)
        if callable(take):
            try:
                found = take()
            except (ValueError, RuntimeError, TypeError):
                continue  # `item` of more than one
            # a longdouble's item is a longdouble
            if type(found) is not type(value):
                yield found


def _check_size(figures: Mapping[str, Any]) -> None:
    size = size_of(figures)
    if size > MOST:
        raise ValueError(
            f"the figures of a run may have {MOST >> 10} KiB together, and these have "
            f"{(size >> 10) + 1}; keep curves and tables in a file in os.environ['RUN_DIR']"
        )


def size_of(figures: Any) -> int:
    """Bytes of it as JSON."""
    return len(json.dumps(figures, ensure_ascii=False).encode())


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
