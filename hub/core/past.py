"""What was seen of the line before, as far as a forecast needs it: who came, how long they held.

Also how well it was foretold: a forecast that has been too narrow learns to be wider.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from hub.core.nouns import Kind, Lease, Why

SPAN = timedelta(days=14)  # what is older says nothing of this term
OUTSIDE = 0.1  # of what happens, this part should lie before a range, and this part behind it
ALIKE = 120.0  # seconds; two waits that differ by less are taken for the same
LEEWAY = (1.0, 1.5)  # before anything was learned: waits are sooner longer than shorter
_STEP = 0.08  # how much one miss moves; ten come true for each miss, so they move a ninth back
_MOST = 2.0  # the logarithm of how much wider, or narrower, a side may become
_ASKED_BACK = frozenset({Why.WAITING, Why.IDLE, Why.RESERVED, Why.LIMIT, Why.PREEMPTED, Why.HAND})


@dataclass(frozen=True)
class Seen:
    """One ask that was given a slice. Moments are seconds since 1970, the others seconds.

    `came`: into the line. `work`: from the grant to the last sign of work. `tail`: from there on.
    `cut`: it did not end by itself, or has not ended yet, so it would have been longer. `side`:
    where the grant lay of what was told: -1 before, 0 in it, 1 behind; None where nothing was told.
    `soon`: how soon its slice was said to come, as `soon` counts it.
    """

    profile: str
    came: float
    granted: float
    kind: Kind
    group: str
    user: str
    work: float
    tail: float
    cut: bool
    side: int | None = None
    soon: int = 0


def soon(wait: float) -> int:
    """How soon something is said to come (seconds): within 15 minutes, an hour, or later.

    Short waits come true more often than long ones, so they must not speak for one another.
    """
    return bisect_right(_SOON, wait)


_SOON = (900.0, 3600.0)


def seen(lease: Lease, now: datetime) -> Seen | None:
    """What a lease tells of the past; None where it was never given a slice."""
    if lease.granted_at is None:
        return None
    request, over = lease.request, lease.draining_at or now
    rest = lease.active_at if lease.heard_at is not None and lease.active_at else over
    work = max(0.0, (min(rest, over) - lease.granted_at).total_seconds())
    held = max(work, (over - lease.granted_at).total_seconds())
    side, wait = None, 0.0
    if lease.eta is not None:
        earliest, latest = lease.eta
        side = (lease.granted_at > latest) - (lease.granted_at < earliest)
        low = max(0.0, (earliest - request.asked_at).total_seconds())
        high = max(low, (latest - request.asked_at).total_seconds())
        # ranges are made on a scale of logarithms, so that is where their middle is
        wait = math.sqrt((low + ALIKE) * (high + ALIKE)) - ALIKE
    return Seen(
        request.profile, request.asked_at.timestamp(), lease.granted_at.timestamp(), request.kind,
        request.group, request.user, work, held - work,
        lease.draining_at is None or lease.why in _ASKED_BACK, side,
        soon(wait),
    )


@dataclass(frozen=True)
class Holds:
    """How long slices of one profile were held by one kind, by those who came to an end or not.

    `works`: (seconds of work, whether it was cut), sorted. `tails`: seconds, sorted, of those who
    ended by themselves.
    """

    works: Sequence[tuple[float, bool]] = ()
    tails: Sequence[float] = ()

    def work(self, already: float, luck: float) -> float | None:
        """A whole work of somebody who has worked for `already` seconds; None: nothing like it.

        `luck` in [0, 1). One that was cut stands for those that went on longer (Kaplan and Meier).
        """
        low = bisect_right(self.works, (already, True))
        while (count := len(self.works) - low) >= _FEW:
            at = low + int(luck * count)
            seconds, cut = self.works[at]
            if not cut:
                return seconds
            luck = luck * count - int(luck * count)
            low = at + 1
        return None

    def tail(self, already: float, luck: float) -> float | None:
        """A whole tail of somebody who has been idle for `already` seconds."""
        low = bisect_right(self.tails, already)
        count = len(self.tails) - low
        return self.tails[low + int(luck * count)] if count >= _FEW else None


_FEW = 8  # fewer than this say nothing


@dataclass(frozen=True)
class Past:
    """What was seen of the last weeks, by profile; `since` and `until` in seconds since 1970.

    `came`: in the order in which they came into the line. `leeway`: (kind, how `soon`) → by which
    factor a range is to be widened downwards and upwards.
    """

    came: Mapping[str, Sequence[Seen]] = field(default_factory=dict)
    holds: Mapping[tuple[str, Kind], Holds] = field(default_factory=dict)
    leeway: Mapping[tuple[Kind, int], tuple[float, float]] = field(default_factory=dict)
    since: float = 0.0

    @classmethod
    def of(cls, seen: Iterable[Seen]) -> Self:
        """The past that these make; who is older than `SPAN` should be left out."""
        by_size: dict[str, list[Seen]] = {}
        by_kind: dict[tuple[str, Kind], list[Seen]] = {}
        told: dict[tuple[Kind, int], list[Seen]] = {}
        for one in sorted(seen, key=lambda x: x.came):
            by_size.setdefault(one.profile, []).append(one)
            by_kind.setdefault((one.profile, one.kind), []).append(one)
            if one.side is not None:
                told.setdefault((one.kind, one.soon), []).append(one)
        return cls(
            by_size, {k: _holds(x) for k, x in by_kind.items()},
            {k: _leeway(x) for k, x in told.items()},
            min((x[0].came for x in by_size.values()), default=0.0),
        )


def _holds(here: Sequence[Seen]) -> Holds:
    # who was cut while idle had done its work
    works = sorted((x.work, x.cut and x.tail <= 0) for x in here)
    return Holds(works, sorted(x.tail for x in here if not x.cut))


def _leeway(here: Iterable[Seen]) -> tuple[float, float]:
    """How much wider, downwards and upwards: each miss adds, each hit takes a little away.

    Over time the misses on each side come to `OUTSIDE`, however wrong the forecast itself is
    (quantile tracking: Gibbs and Candès, 2021; Angelopoulos et al., 2023).
    """
    low, high = (math.log(x) for x in LEEWAY)
    for one in sorted(here, key=lambda x: x.granted):
        low += _STEP * ((one.side == -1) - OUTSIDE)
        high += _STEP * ((one.side == 1) - OUTSIDE)
        low, high = max(-_MOST, min(low, _MOST)), max(-_MOST, min(high, _MOST))
    return math.exp(low), math.exp(high)
