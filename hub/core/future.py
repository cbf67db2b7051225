"""One profile's line played forward: who is given a slice when, in one scenario of many.

Known are promises, notices, latest ends, and whose turn it would be. Not known is how long people
work, how long they forget to close, and who comes meanwhile. That is taken from the past: in each
scenario those come who came in the days before at the same time of the day.
"""

import heapq
import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from hub.core.lineup import Lineup
from hub.core.nouns import Kind
from hub.core.scene import Holder, Scene, Waiter

DAY = 86400.0
HORIZON = 2 * DAY  # later than this is "some day"
CLEAN = 20.0  # seconds from the end of a lease until its slice is free again
# two irrational steps spread fates evenly, so that a long work does not always have a long tail
_GOLDEN, _ROOT = 0.6180339887498949, 0.4142135623730951


def play(scene: Scene, luck: float, back: float, only: Collection[str] = ()) -> dict[str, float]:
    """Request → seconds from now until it is given a slice; beyond `HORIZON` nothing is said.

    Args:
        luck: in (0, 1); which of the fates that were seen before befall people this time.
        back: those come who came so many seconds before; 0 is nobody.
        only: it is enough to know of these; all of the line where it is empty.
    """
    asked = only or {x.id for x in scene.line}
    # runs that come later are in nobody's way but in other runs'
    runs = any(x.kind is Kind.RUN for x in scene.line if x.id in asked)
    return _Future(scene, luck, asked).play(_comers(scene, back, runs=runs))


def _comers(scene: Scene, back: float, *, runs: bool) -> Iterator[tuple[float, Waiter]]:
    """Who came in the `back` seconds before now, as if they came from now on; then over again."""
    first = bisect_left(scene.came, scene.now - back, key=lambda x: x.came)
    lap = 0.0
    while back > 0 and lap < HORIZON and first < len(scene.came):
        for i in range(first, len(scene.came)):
            one = scene.came[i]
            if runs or one.kind is Kind.SERVER:
                at = one.came - scene.now + back + lap
                yield at, Waiter(
                    "", one.kind, one.group, one.user, at, work=one.work, tail=one.tail
                )
        lap += back


class _Future:
    """One scenario."""

    def __init__(self, scene: Scene, luck: float, only: Collection[str]) -> None:
        self._answers: dict[str, float] = {}
        self._scene = scene
        self._spans = scene.spans
        self._luck = luck
        self._left = set(only)
        self._draws = 0
        self._free = scene.free
        self._coming = 0  # slices whose holders were told to go, or have gone
        self._events: list[tuple[float, int, Callable[[Any, float], None], Any]] = []
        self._count = 0
        self._over: set[int] = set()  # holds that are over
        self._told: set[int] = set()  # holds that were asked back
        self._can: list[tuple[bool, bool, float, float, _Hold]] = []
        self._line = Lineup(scene)

    def play(self, comers: Iterator[tuple[float, Waiter]]) -> dict[str, float]:
        """See `play`."""
        for holder in self._scene.holders:
            self._goes_on(holder)
        for begins, ends in self._scene.booked:
            self._will(begins, self._comes, Waiter(
                "", Kind.SERVER, asked=begins, first=begins, work=ends - begins, keeps=True
            ))
        for waiter in self._scene.line:
            self._will(
                waiter.ready[self._luck > 0.5], self._comes, waiter  # noqa: PLR2004 - one or other
            )
        at, events, left = 0.0, self._events, self._left
        comes = next(comers, None)
        while left and (events or comes) and at <= HORIZON:
            if comes is not None and (not events or comes[0] < events[0][0]):
                at, waiter = comes
                self._comes(waiter, at)
                comes = next(comers, None)
            else:
                at, _, do, what = heapq.heappop(events)
                do(what, at)
            if self._line.waits:
                self._decide(at)
        return self._answers

    def _will(self, at: float, do: Callable[[Any, float], None], what: object) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, do, what))

    def _comes(self, waiter: Waiter, at: float) -> None:
        entry = self._line.add(waiter)
        server = waiter.kind is Kind.SERVER
        patience = self._spans.patience if server else self._spans.run_patience
        first = min(waiter.first, waiter.asked + patience)
        if first <= at:
            self._line.hurry(entry, at)
        elif first < HORIZON:
            self._will(first, self._line.hurry, entry)

    def _decide(self, at: float) -> None:
        """Free slices are given, and for who still waits somebody is asked back."""
        while self._free > 0 and (waiter := self._line.pop(at)) is not None:
            self._free -= 1
            self._given(waiter, at)
        while self._line.strong > self._coming and self._can:
            hold = heapq.heappop(self._can)[-1]
            if hold.number not in self._over and hold.number not in self._told:
                self._told.add(hold.number)
                self._coming += 1
                notice = 0.0 if hold.who.kind is Kind.RUN else self._spans.notice
                self._will(at + notice + CLEAN, self._leaves, hold)

    def _leaves(self, hold: "_Hold", at: float) -> None:
        if hold.who.kind is Kind.RUN and hold.number not in self._over:
            self._comes(hold.who, at)  # it has saved, and goes back to the line
        self._ends(hold, at)

    def _ends(self, hold: "_Hold", at: float) -> None:
        if hold.number in self._over:
            return
        self._over.add(hold.number)
        self._free += 1
        self._coming -= hold.number in self._told
        self._line.ends(hold.who.group, at)

    # ---- holding --------------------------------------------------------------------------------

    def _given(self, waiter: Waiter, at: float) -> None:
        spans = self._spans
        if waiter.id:
            self._answers[waiter.id] = at
            self._left.discard(waiter.id)
        self._line.begins(waiter, at)
        work, tail = waiter.work, waiter.tail
        if work is None:
            work, tail = self._work(waiter.kind, 0.0), self._tail(waiter.kind, 0.0)
        if waiter.keeps:
            self._holds(waiter, at + work, math.inf, math.inf)
        elif waiter.kind is Kind.RUN:
            self._holds(waiter, at + work, at + spans.run_hold, math.inf)
        else:
            end = at + min(work + tail, spans.max_hold)
            self._holds(waiter, end, at + spans.min_hold, at + work + spans.idle)

    def _goes_on(self, holder: Holder) -> None:
        kind = holder.kind
        again = Waiter("", kind, holder.group, holder.user, holder.granted)
        if holder.gone is not None:
            self._holds(again, holder.gone - CLEAN, math.inf, math.inf, told=True)
            return
        if holder.rest is None:
            rest = holder.granted + self._work(kind, -holder.granted)
            end = rest + self._tail(kind, 0.0)
        else:
            rest = holder.rest
            end = rest + self._tail(kind, -rest)
        idle = math.inf if kind is Kind.RUN else rest + self._spans.idle
        self._holds(
            again, max(0.0, min(end, holder.latest)), holder.promised, idle, told=holder.told
        )

    def _holds(
        self, who: Waiter, end: float, promised: float, idle: float, *, told: bool = False
    ) -> None:
        """A hold until `end`; it can be asked back when `promised` is over, or it is `idle`."""
        self._count += 1
        hold = _Hold(self._count, who, idle)
        if told:
            self._told.add(hold.number)
            self._coming += 1
        self._will(end + CLEAN, self._ends, hold)
        can = min(promised, idle)
        if can < end and can < HORIZON:
            self._will(max(0.0, can), self._may, hold)

    def _may(self, hold: "_Hold", at: float) -> None:
        """From now on it can be asked back: runs first, then the idle, then by share."""
        if hold.number not in self._over:
            group, own = self._line.over(hold.who, at)
            server = hold.who.kind is Kind.SERVER
            heapq.heappush(self._can, (server, at < hold.idle, -group, -own, hold))

    def _work(self, kind: Kind, already: float) -> float:
        """A whole work of somebody who has worked for `already` seconds."""
        self._draws += 1
        luck = (self._luck + self._draws * _GOLDEN) % 1.0
        found = self._scene.holds[kind].work(already, luck) if kind in self._scene.holds else None
        if found is not None:
            return found
        # nothing like it was seen: between half and eight times of the promise, or as long again
        guess: float = self._spans.min_hold * 2.0 ** (4 * luck - 1)
        return max(guess, already * (1 + luck))

    def _tail(self, kind: Kind, already: float) -> float:
        if kind is Kind.RUN:
            return 0.0
        luck = (self._luck + self._draws * _ROOT) % 1.0
        found = self._scene.holds[kind].tail(already, luck) if kind in self._scene.holds else None
        return already * (1 + luck) if found is None else found


class _Hold(NamedTuple):
    """A slice that is held; `idle`: from then on nothing will have happened on it for too long."""

    number: int
    who: Waiter
    idle: float
