"""A sweep as one plot: a figure over a parameter that is a number, else a column for each run."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hub.core import figures
from hub.core.figures import flat, numbers
from hub.core.sweeps import Sweep
from hub.face.plots import Axis, grid

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 628, 12, 280  # as `plots.grid` draws them
_TICKS = 5
_FAR = 50.0  # times: values so far apart are drawn by their logarithm
_COLUMNS = 60
# figures that people look at first
_FIRST = ("loss", "accuracy", "error", "score", "f1", "perplexity")


@dataclass(frozen=True)
class Drawn:
    """A plot, and what else could be drawn; `parameter` "" where each run has a column."""

    figure: str
    parameter: str
    figures: Sequence[str]
    parameters: Sequence[str]
    plot: Markup


def drawn(sweep: Sweep, figure: str = "", parameter: str = "") -> Drawn | None:
    """The plot of a sweep; None where no run has recorded a number."""
    recorded = [(numbers(x.parameters), numbers(x.metrics)) for x in sweep.runs]
    names = figures.columns(found for _, found in recorded)
    if not names:
        return None
    figure = figure if figure in names else _likely(names)
    over = [
        x for x in sweep.names
        if len({given[x] for given, found in recorded if x in given and figure in found}) > 1
    ]
    parameter = parameter if parameter in over else next(iter(over), "")
    if parameter:
        points = [
            (given[parameter], found[figure]) for given, found in recorded
            if parameter in given and figure in found
        ]
        plot = _dots(figure, parameter, points)
    else:
        named = [
            (_point(sweep, x.parameters), found[figure])
            for x, (_, found) in zip(sweep.runs, recorded, strict=True) if figure in found
        ]
        plot = _columns(figure, named[:_COLUMNS])
    return Drawn(figure, parameter, names, over, plot)


def _likely(names: Sequence[str]) -> str:
    return min(names, key=lambda x: next(
        (i for i, word in enumerate(_FIRST) if word in x.lower()), len(_FIRST)
    ))


def _point(sweep: Sweep, parameters: Mapping[str, object]) -> str:
    given = flat(parameters)  # type: ignore[arg-type]
    return ", ".join(f"{k}={figures.shown(given.get(k))}" for k in sweep.names)


@dataclass(frozen=True)
class _Scale:
    """An axis, and where a value stands on it."""

    axis: Axis
    log: bool

    def at(self, value: float, begin: float, end: float) -> float:
        return self.axis.at(math.log10(value) if self.log else value, begin, end)


def _scale(title: str, values: Sequence[float], *, zero: bool = False) -> _Scale:
    low, high = min(values), max(values)
    log = not zero and low > 0 and high / low >= _FAR
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if log:
        low, high = math.log10(low), math.log10(high)
    if not math.isfinite(high - low):
        low, high = -1e300, 1e300
    if high - low <= abs(high) * 1e-9:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    ticks = [low + i * (high - low) / (_TICKS - 1) for i in range(_TICKS)]
    texts = [(x, figures.shown(float(f"{10 ** x if log else x:.3g}"))) for x in ticks]
    return _Scale(Axis(title, low, high, texts), log)


def _dots(figure: str, parameter: str, points: Sequence[tuple[float, float]]) -> Markup:
    """A dot for each run, and a line through the means of those with the same value."""
    x = _scale(parameter, [a for a, _ in points])
    y = _scale(figure, [b for _, b in points])
    at: dict[float, list[float]] = defaultdict(list)
    for a, b in points:
        at[a].append(b)
    places = [(x.at(a, _LEFT, _RIGHT), y.at(b, _BOTTOM, _TOP)) for a, b in points]
    means = " ".join(
        f"{x.at(a, _LEFT, _RIGHT):.1f},{y.at(_mean(found), _BOTTOM, _TOP):.1f}"
        for a, found in sorted(at.items())
    )
    return _framed(f"{figure} / {parameter}", x.axis, y.axis, Markup("").join([
        Markup('<polyline class="mean" points="{}"/>').format(means),
        *(Markup('<circle class="dot" cx="{}" cy="{}" r="4"><title>{} = {}, {} = {}</title>'
                 "</circle>").format(
            f"{left:.1f}", f"{top:.1f}", parameter, figures.shown(a), figure, figures.shown(b)
        ) for (left, top), (a, b) in zip(places, points, strict=True)),
    ]))


def _mean(found: Sequence[float]) -> float:
    return sum(x / len(found) for x in found)  # the sum itself may be more than a float holds


def _columns(figure: str, named: Sequence[tuple[str, float]]) -> Markup:
    """A column for each run, from zero."""
    y = _scale(figure, [b for _, b in named], zero=True)
    step = (_RIGHT - _LEFT) / len(named)
    zero = y.at(0, _BOTTOM, _TOP)
    columns = []
    for i, (name, value) in enumerate(named):
        top = y.at(value, _BOTTOM, _TOP)
        columns.append(Markup(
            '<rect class="column" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>'
        ).format(
            f"{_LEFT + (i + 0.15) * step:.1f}", f"{min(top, zero):.1f}", f"{step * 0.7:.1f}",
            f"{max(1.0, abs(top - zero)):.1f}", name, figures.shown(value),
        ))
    return _framed(figure, Axis("", 0, 1, []), y.axis, Markup("").join(columns))


def _framed(title: str, x: Axis, y: Axis, inside: Markup) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" font-size="12">{}{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, grid(x, y, _WIDTH, _HEIGHT), inside)
