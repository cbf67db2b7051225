"""The page of a replay: one file with its plots in it, in the reader's language."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hub.core.replay import contest
from hub.core.replay.contest import Lab
from hub.core.replay.jobs import DAY, HOUR, Trace
from hub.core.replay.scores import STEPS, Score
from hub.core.share import shares
from hub.errors import Text
from hub.face import words
from hub.face.plots import Axis, Line, plot

_HERE = Path(__file__).parent
_NAMES = {
    contest.OURS: Text("Madang, as it is set here"),
    contest.FIRST: Text("First come, first served"),
    contest.STATIC: Text("Static split by weight"),
    contest.PRIORITY: Text("Servers first, runs behind"),
}
_WAITS = ((60.0, "1 m"), (600.0, "10 m"), (HOUR, "1 h"), (4 * HOUR, "4 h"), (DAY, "1 d"))
_PLACES = (-1.0, 2.0)  # before and behind a range, in its widths
_TICKS = 7  # days with a mark, at most
Read = Callable[[Text], str]

@dataclass(frozen=True)
class Column:
    """One policy on the page: its name in the reader's language, its figures and its plot."""

    name: str
    score: Score
    use: Markup


@dataclass(frozen=True)
class Played:
    """What the template takes."""

    language: str
    trace: Trace
    said: Sequence[str]
    lab: Lab
    columns: Sequence[Column]
    waits: Markup
    places: Markup | None
    at: datetime


def page(
    trace: Trace, lab: Lab, scores: Sequence[Score], language: str, now: datetime
) -> str:
    """The whole page as HTML; it needs nothing else."""
    def read(text: Text) -> str:
        return words.say(language, text.template, **text.values)

    weights = shares(lab.house, contest.weights_of(trace, lab.house))
    columns = [Column(_name(x.policy, read), x, _use(x, trace, weights, read)) for x in scores]
    told = Played(
        language, trace, [read(x) for x in trace.said], lab, columns, _waits(columns, read),
        _places(columns, read), now,
    )
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined,
    )
    environment.filters["span"] = length
    template = environment.get_template("replay.html")
    return template.render(page=told, _=words.speaker(language)) + "\n"


def length(seconds: float) -> str:
    """Seconds as 0 m, 95 m or 12.3 h."""
    minutes = seconds / 60
    return f"{minutes:.0f} m" if minutes < 100 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


def _name(policy: str, read: Read) -> str:
    found = _NAMES.get(policy)
    return read(found) if found else policy


def _percents(*values: float) -> list[tuple[float, str]]:
    return [(x, f"{x:.0%}") for x in values]


def _waits(columns: Sequence[Column], read: Read) -> Markup:
    """How many hundredths of the servers waited how long; time as its logarithm."""
    def high(seconds: float) -> float:
        return math.log10(max(seconds, _WAITS[0][0]))

    x = Axis(
        read(Text("hundredths of the servers, the shortest waits first")), 0, STEPS,
        [(i, str(i)) for i in (0, 25, 50, 75, 95)],
    )
    y = Axis(
        read(Text("waited")), high(0), high(_WAITS[-1][0]), [(high(v), t) for v, t in _WAITS]
    )
    lines = [Line(c.name, [(i, high(v)) for i, v in enumerate(c.score.curve)]) for c in columns]
    return plot(read(Text("Waits of servers")), x, y, lines)


def _use(one: Score, trace: Trace, weights: Mapping[str, float], read: Read) -> Markup:
    """Each group's part of what was held, over time, and its share by weight."""
    days = trace.length / DAY
    step = max(1, math.ceil(days / _TICKS))
    ticks = [(d, str(d)) for d in range(0, math.floor(days) + 1, step)]
    x = Axis(read(Text("day")), 0, days, ticks)
    y = Axis(read(Text("part of what is held")), 0, 1, _percents(0, 0.25, 0.5, 0.75, 1))
    lines = [
        Line(g or "-", [((i + 0.5) * days / len(v), p) for i, p in enumerate(v)])
        for g, v in sorted(one.over_time.items())
    ]
    lines += [Line("", [(0, x), (days, x)], thin=True) for x in sorted(set(weights.values()))]
    title = Text(
        "{policy}: each group's part over time", policy=_name(one.policy, read)
    )
    return plot(read(title), x, y, lines, width=440, height=220)


def _places(columns: Sequence[Column], read: Read) -> Markup | None:
    """How many were served up to which place of the range that they were told."""
    told = [(c.name, c.score.eta) for c in columns if c.score.eta is not None]
    if not told:
        return None
    x = Axis(
        read(Text("when the slice came, in the told range")), *_PLACES,
        [(0, read(Text("its beginning"))), (1, read(Text("its end")))],
    )
    y = Axis(read(Text("of those who were told")), 0, 1, _percents(0, 0.1, 0.5, 0.9, 1))
    lines = [Line(name, [(v, i / STEPS) for i, v in enumerate(eta.places)]) for name, eta in told]
    lines.append(Line("", [(0, 0.1), (1, 0.9)], thin=True))
    return plot(read(Text("Told and come true")), x, y, lines)
