"""Plots as SVG that stand in a page by themselves: lines, axes, a legend. No script, no library.

Colours are told apart by most eyes, and every line has its own dashes as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7f7f7f")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2", "1 3")
_LEFT, _TOP, _BOTTOM, _RIGHT = 72, 12, 40, 12
_LEGEND = 18  # height of a line of the legend


@dataclass(frozen=True)
class Line:
    """One line: its name and its points (x, y) in the axes' units. `thin`: for comparison only."""

    name: str
    points: Sequence[tuple[float, float]]
    thin: bool = False


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; `ticks` are (value, text)."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float, begin: float, end: float) -> float:
        """Where a value stands between two places on the page; what lies outside, at the edge."""
        part = (value - self.low) / (self.high - self.low)
        return begin + min(1.0, max(0.0, part)) * (end - begin)


def plot(
    title: str, x: Axis, y: Axis, lines: Sequence[Line], *, width: int = 560, height: int = 300,
    legend: bool = True,
) -> Markup:
    """A plot of lines. Texts are shown as they are, whatever stands in them."""
    rows = len([a for a in lines if not a.thin]) if legend else 0
    whole = height + rows * _LEGEND
    parts = [
        Markup(
            '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" font-size="12" fill="none">'
            "<title>{}</title>"
        ).format(width, whole, title, title),
        grid(x, y, width, height),
    ]
    for i, line in enumerate(lines):
        points = " ".join(
            f"{x.at(a, _LEFT, width - _RIGHT):.1f},{y.at(b, height - _BOTTOM, _TOP):.1f}"
            for a, b in line.points
        )
        parts.append(Markup('<polyline points="{}" {}/>').format(points, _style(i, line.thin)))
    if legend:
        named = [(i, a) for i, a in enumerate(lines) if not a.thin]
        parts += [_name(i, a, height + n * _LEGEND) for n, (i, a) in enumerate(named)]
    return Markup("").join([*parts, Markup("</svg>")])


def _style(i: int, thin: bool) -> Markup:  # noqa: FBT001 - a property of the line
    colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i % len(_DASHES)]
    if thin:
        return Markup('stroke="currentColor" stroke-opacity=".5" stroke-dasharray="3 3"')
    return Markup('stroke="{}" stroke-width="2" stroke-dasharray="{}"').format(colour, dash)


def grid(x: Axis, y: Axis, width: int, height: int) -> Markup:
    """Lines and texts at the ticks of both axes, and their titles."""
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    lines: list[Markup] = []
    for value, text in x.ticks:
        at = f"{x.at(value, left, right):.1f}"
        lines.append(Markup(
            '<path d="M{} {}V{}" class="grid"/><text x="{}" y="{}" text-anchor="middle">{}</text>'
        ).format(at, top, bottom, at, bottom + 16, text))
    for value, text in y.ticks:
        at = f"{y.at(value, bottom, top):.1f}"
        lines.append(Markup(
            '<path d="M{} {}H{}" class="grid"/><text x="{}" y="{}" text-anchor="end"'
            ' dominant-baseline="middle">{}</text>'
        ).format(left, at, right, left - 6, at, text))
    lines.append(Markup(
        '<text x="{}" y="{}" text-anchor="middle">{}</text><text x="12" y="{}" '
        'text-anchor="middle" transform="rotate(-90 12 {})">{}</text>'
    ).format(
        (left + right) / 2, height - 6, x.title, (top + bottom) / 2, (top + bottom) / 2, y.title
    ))
    return Markup("").join(lines)


def _name(i: int, line: Line, at: float) -> Markup:
    return Markup(
        '<path d="M{} {}h28" {}/><text x="{}" y="{}" dominant-baseline="middle">{}</text>'
    ).format(_LEFT, at + 8, _style(i, thin=False), _LEFT + 36, at + 8, escape(line.name))
