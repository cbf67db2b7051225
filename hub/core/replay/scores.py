"""What came of a replay, in figures: waits, use against share, what was served, what was foretold.

Waits are of jobs: all the time that one stood in the line, also when it had to ask again, also when
it gave up. Slice-hours are of the time of the trace; what runs on after it is not counted.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.core.nouns import Kind
from hub.core.replay.jobs import DAY, HOUR, Job, Trace
from hub.core.replay.play import Hold, of_jobs

STEPS = 100  # points of a curve
_PIECES = 24  # of the trace's length, for what changes over time
_SPANS = (("15m", 900.0), ("1h", 3600.0), ("4h", 4 * HOUR), ("", math.inf))


@dataclass(frozen=True)
class Waits:
    """Seconds in the line: of how many jobs, the median, and what one in twenty waited longer."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0


@dataclass(frozen=True)
class Part:
    """One group's or person's part. Slice-hours; `share`: what was theirs by weight and need."""

    name: str
    group: str
    waits: Waits
    wanted: float
    served: float
    held: float
    share: float


@dataclass(frozen=True)
class Eta:
    """How well it was foretold. Parts of 1 of those that were told a range; seconds.

    `error`: the median distance from the middle of the range. `width`: the median range. `places`:
    for 0, 1 … 100 hundredths of those, where they lay: 0 is the range's beginning, 1 its end.
    `spans`: by the told middle (up to "15m", "1h", "4h", more): (name, count, within).
    """

    told: int
    within: float
    earlier: float
    later: float
    error: float
    width: float
    places: tuple[float, ...]
    spans: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True)
class Score:
    """One policy's figures. Slice-hours; `active` is served over held.

    `jain_people`, `jain_groups`: Jain's index of use over share: 1 where all got alike, 1/n where
    one got all. `gave_up`: jobs that never were done. `asked_back`: holds cut before the work was
    done. `curve`: for 0 … 100 hundredths of the servers, seconds waited. `over_time`: group → its
    part of what was held, for each of equal pieces of the time.
    """

    policy: str
    servers: Waits
    runs: Waits
    wanted: float
    served: float
    held: float
    active: float
    jain_people: float
    jain_groups: float
    gave_up: int
    asked_back: int
    groups: tuple[Part, ...]
    people: tuple[Part, ...]
    curve: tuple[float, ...] = ()
    over_time: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    eta: Eta | None = None


def score(
    policy: str, trace: Trace, holds: Sequence[Hold], rates: Mapping[str, float],
    weights: Mapping[str, float], hours: float,
) -> Score:
    """The figures of one policy.

    Args:
        rates: profile → slice-hours per hour.
        weights: group → weight; one that is missing has 1.
        hours: slice-hours that there were in all.
    """
    count = _Count(trace, of_jobs(holds), rates)
    people = count.parts(lambda x: x.user, count.shares(weights, hours))
    groups = count.parts(lambda x: x.group, count.shares(weights, hours, of_groups=True))
    served, held = sum(x.served for x in people), sum(x.held for x in people)
    servers = [count.waits[x.id] for x in trace.jobs if x.kind is Kind.SERVER]
    return Score(
        policy, _waits(servers),
        _waits(count.waits[x.id] for x in trace.jobs if x.kind is Kind.RUN),
        sum(x.wanted for x in people), served, held, served / held if held else 0.0,
        jain([x.held / x.share for x in people if x.share > 0]),
        jain([x.held / x.share for x in groups if x.share > 0]),
        sum(here[-1].granted_at is None for here in count.holds.values()),
        sum(x.cut for x in holds), groups, people, curve(servers),
        _over_time(trace, holds), _eta(holds),
    )


def jain(values: Sequence[float]) -> float:
    """Jain's index: (Σx)² / (n·Σx²); 1 for equal values, and for none."""
    squares = sum(x * x for x in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def quantile(values: Sequence[float], part: float) -> float:
    """The value at `part` (0 to 1) of sorted values: the nearest rank; 0 where there are none."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, max(0, math.ceil(part * len(values)) - 1))]


def curve(values: Iterable[float]) -> tuple[float, ...]:
    """The values at 0, 1 … 100 hundredths."""
    sorted_values = sorted(values)
    return tuple(quantile(sorted_values, i / STEPS) for i in range(STEPS + 1))


def fair(
    total: float, wants: Mapping[str, float], weights: Mapping[str, float]
) -> dict[str, float]:
    """`total` dealt out by weight, to nobody more than it wants; what one leaves is the others'."""
    found = dict.fromkeys(wants, 0.0)
    open_ = {k for k, x in wants.items() if x > 0}
    while open_ and total > 1e-9:  # noqa: PLR2004 - slice-hours
        whole = sum(weights.get(k, 1.0) for k in open_)
        full = {
            k for k in open_ if wants[k] - found[k] <= total * weights.get(k, 1.0) / whole
        }
        for k in sorted(full or open_):
            more = wants[k] - found[k] if full else total * weights.get(k, 1.0) / whole
            found[k] += more
        total -= sum(wants[k] for k in full) if full else total
        open_ -= full
    return found


def _waits(values: Iterable[float]) -> Waits:
    here = sorted(values)
    return Waits(len(here), quantile(here, 0.5), quantile(here, 0.95))


class _Count:
    """Sums over the holds of each job."""

    def __init__(
        self, trace: Trace, holds: Mapping[str, list[Hold]], rates: Mapping[str, float]
    ) -> None:
        self.holds = holds
        self._trace = trace
        self._rates = rates
        self.waits = {x.id: sum(_waited(h) for h in holds.get(x.id, ())) for x in trace.jobs}

    def parts(
        self, key: Callable[[Job], str], shares: Mapping[str, float]
    ) -> tuple[Part, ...]:
        """The jobs' sums by `key`, sorted by its value."""
        by: dict[str, list[Job]] = {}
        for job in self._trace.jobs:
            by.setdefault(key(job), []).append(job)
        return tuple(
            Part(
                name, jobs[0].group, _waits(self.waits[x.id] for x in jobs),
                sum(self._wanted(x) for x in jobs), sum(self._served(x) for x in jobs),
                sum(self._held(x) for x in jobs), shares.get(name, 0.0),
            )
            for name, jobs in sorted(by.items())
        )

    def shares(
        self, weights: Mapping[str, float], hours: float, *, of_groups: bool = False
    ) -> dict[str, float]:
        """What would be each group's or person's, by weight and by what they wanted."""
        wants: dict[str, dict[str, float]] = {}
        for job in self._trace.jobs:
            here = wants.setdefault(job.group, {})
            here[job.user] = here.get(job.user, 0.0) + self._wanted(job)
        groups = fair(hours, {g: sum(x.values()) for g, x in wants.items()}, weights)
        if of_groups:
            return groups
        return {u: x for g, here in wants.items() for u, x in fair(groups[g], here, {}).items()}

    def _wanted(self, job: Job) -> float:
        return job.work * self._rates[job.profile] / HOUR

    def _served(self, job: Job) -> float:
        # a larger slice than one needs serves no more
        return sum(
            self._clipped(x, x.worked) * min(x.rate, self._rates[job.profile])
            for x in self.holds.get(job.id, ())
        ) / HOUR

    def _held(self, job: Job) -> float:
        return sum(
            self._clipped(x, _end(x) - (x.granted_at or 0.0)) * x.rate
            for x in self.holds.get(job.id, ())
        ) / HOUR

    def _clipped(self, hold: Hold, seconds: float) -> float:
        if hold.granted_at is None:
            return 0.0
        return max(0.0, min(seconds, self._trace.length - hold.granted_at))


def _end(hold: Hold) -> float:
    return math.inf if hold.ended_at is None else hold.ended_at


def _waited(hold: Hold) -> float:
    till = hold.granted_at if hold.granted_at is not None else hold.ended_at
    # who still waits when nothing happens any more would wait for ever: say its patience, or a week
    forever = min(hold.ask.job.patience, 7 * DAY)
    return forever if till is None else till - hold.ask.asked_at


def _over_time(trace: Trace, holds: Iterable[Hold]) -> dict[str, tuple[float, ...]]:
    piece = trace.length / _PIECES
    sums: dict[str, list[float]] = {x.group: [0.0] * _PIECES for x in trace.jobs}
    for hold in holds:
        if hold.granted_at is None:
            continue
        here, end = sums[hold.ask.job.group], min(_end(hold), trace.length)
        for i in range(int(hold.granted_at / piece), _PIECES):
            begin, over = max(hold.granted_at, i * piece), min(end, (i + 1) * piece)
            if over <= begin:
                break
            here[i] += (over - begin) * hold.rate
    whole = [sum(x[i] for x in sums.values()) or 1.0 for i in range(_PIECES)]
    return {g: tuple(x / w for x, w in zip(here, whole, strict=True)) for g, here in sums.items()}


def _eta(holds: Iterable[Hold]) -> Eta | None:
    told = [
        (x.told, x.granted_at, x.ask.asked_at) for x in holds
        if x.told is not None and x.granted_at is not None
    ]
    if not told:
        return None
    places = sorted((at - t.earliest) / (t.latest - t.earliest) for t, at, _ in told)
    errors = sorted(abs(at - (t.earliest + t.latest) / 2) for t, at, _ in told)
    widths = sorted(t.latest - t.earliest for t, _, _ in told)
    by_span: dict[str, list[bool]] = {name: [] for name, _ in _SPANS}
    for t, at, asked in told:
        middle = (t.earliest + t.latest) / 2 - asked
        name = _SPANS[bisect_right([x for _, x in _SPANS], middle)][0]
        by_span[name].append(t.earliest <= at <= t.latest)
    return Eta(
        len(told), sum(0 <= x <= 1 for x in places) / len(told),
        sum(x < 0 for x in places) / len(told), sum(x > 1 for x in places) / len(told),
        quantile(errors, 0.5), quantile(widths, 0.5), curve(places),
        tuple((k, len(x), sum(x) / len(x) if x else 0.0) for k, x in by_span.items()),
    )
