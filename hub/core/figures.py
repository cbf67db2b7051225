"""Figures that runs have recorded, beside those of an earlier run."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hub.core.notebook import Json, sayable

_MOST = 200  # of one run
_LONGEST = 80  # characters of a name, and of a value that is no number
_DEEPEST = 3


@dataclass(frozen=True)
class Figure:
    """One figure. `before` is None where the earlier run had none of this name.

    `change` is the difference where both are numbers, `part` that as a part of the earlier one.
    """

    name: str
    value: float | str | None
    before: float | str | None = None
    change: float | None = None
    part: float | None = None


def figures(after: Mapping[str, Json], before: Mapping[str, Json] | None = None) -> list[Figure]:
    """Every figure of `after` beside that of `before`; then those that only `before` has."""
    new, old = flat(after), flat(before or {})
    names = [*new, *(x for x in old if x not in new)]
    return [_figure(x, new.get(x), old.get(x)) for x in names]


def flat(recorded: Mapping[str, Json]) -> dict[str, float | str]:
    """Name → number or short text; `{"test": {"loss": 1}}` is test.loss. True is a text, not 1."""
    found: dict[str, float | str] = {}
    for name, value in _leaves(recorded, "", _DEEPEST):
        if len(found) == _MOST:
            break
        found[_plain(name[:_LONGEST])] = value
    return found


def numbers(recorded: Mapping[str, Json]) -> dict[str, float]:
    """Those that are numbers."""
    return {k: x for k, x in flat(recorded).items() if isinstance(x, float | int)}


def columns(each: Iterable[Mapping[str, object]]) -> list[str]:
    """All names, in the order in which they come."""
    return list(dict.fromkeys(name for one in each for name in one))


def shown(value: float | str | None) -> str:
    """A value for people: four digits that count, or the text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    whole = float(value).is_integer() and abs(value) < 1e15  # noqa: PLR2004 - beyond it: 1e+20
    return f"{value:.0f}" if whole else f"{value:.4g}"


def _leaves(
    recorded: Mapping[str, Json], above: str, deep: int
) -> Iterator[tuple[str, float | str]]:
    for key, value in recorded.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and deep > 1:
            yield from _leaves(value, f"{name}.", deep - 1)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, _number(value)
        elif value is not None:
            yield name, _short(value)


def _number(value: float) -> float | str:
    try:
        return value if math.isfinite(value) else str(value)
    except OverflowError:  # an integer that no float holds
        return _short(str(value))


def _short(value: Json) -> str:
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _plain(" ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(text: str) -> str:
    return "".join(x for x in sayable(text) if x.isprintable())


def _figure(name: str, value: float | str | None, before: float | str | None) -> Figure:
    if isinstance(value, str | None) or isinstance(before, str | None):
        return Figure(name, value, before)
    # as floats: the difference of two integers may be one that no float holds
    change = _finite(float(value) - float(before))
    part = change / abs(before) if before and change is not None else None
    return Figure(name, value, before, change, _finite(part))


def _finite(value: float | None) -> float | None:
    """None where two that are finite are too far apart for a number."""
    return value if value is not None and math.isfinite(value) else None
