"""Who is told to give back, for whom, and who need not any more.

Each who waits is paired with one slice: first with those that come free anyway, then with those
whose holders were told already, then with a holder who can be told. A pair counts only where the
one may have what the other leaves: a class's seat is of no use to an outsider.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from hub.core.events import Ended, Noticed, Spared
from hub.core.nouns import Kind, Lease, State, Why
from hub.core.order import idle_since, order, overdue
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.share import Standing, charged_to
from hub.core.survey import Survey
from hub.core.terms import Terms, terms

Told = Ended | Noticed | Spared
# what the holder reads afterwards; face translates it
CAUSES = {
    Why.WAITING: "its promised time was over and somebody waited",
    Why.IDLE: "nothing happened on it and somebody waited",
    Why.RESERVED: "its slice was reserved from then on",
    Why.LIMIT: "the longest time that a slice may be held was over",
    Why.PREEMPTED: "somebody in front of a screen needed its slice",
    Why.HAND: "ended by hand",
}


def asking(
    state: State, seen: Survey, rooms: Rooms, used: Callable[[], Standing], now: datetime
) -> list[Told]:
    """What is to be said to those who hold."""
    found: list[Told] = []
    for profile, here in seen.held.items():
        told = [x for x in here if x.notice is not None]
        # who is at work again, within its promise or not, is asked anew if at all
        back = [x for x in told if _came_back(state, x, now)]
        found += [Spared(x.id) for x in back]
        told = [x for x in told if x not in back]
        can = [x for x in here if x.notice is None and _gives(state, x, now)]
        if can or told:
            found += _Pairs(state, rooms, now, profile).match(
                seen.waiting.get(profile, []), seen.coming[profile], told, can, used
            )
    return found


class _Pairs:
    """Those who wait for one size, and the slices that could be theirs."""

    def __init__(self, state: State, rooms: Rooms, now: datetime, profile: str) -> None:
        self._state, self._rooms, self._now = state, rooms, now
        self._rules: Rules = state.house.rules
        self._rate = next((s.rate for k, s in state.slices.items() if k.profile == profile), 1.0)
        self._plain = not rooms.has(profile)
        self._used: Callable[[], Standing]

    def match(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease],
        used: Callable[[], Standing],
    ) -> list[Told]:
        """Notices for those who give, and none any more for those whom nobody needs."""
        self._used = used
        needed: set[str] = set()
        found: list[Told] = []
        told = sorted(told, key=lambda x: (x.notice.leave_by if x.notice else self._now, x.id))
        if waiting:
            can = self._givers(can)
            for lease in self._line(waiting, coming + len(told) + len(can)):
                if coming and self._fits(lease, None):
                    coming -= 1
                elif (giver := self._first(lease, told)) is not None:
                    needed.add(giver.id)
                elif (giver := self._first(lease, can, ask=True)) is not None:
                    found.append(self._ask(giver))
        return [
            *found,
            *(Spared(x.id) for x in reversed(told) if x.id not in needed and _for_others(x)),
        ]

    def _line(self, waiting: list[Lease], most: int) -> Iterator[Lease]:
        return islice(order(waiting, self._rooms, self._used(), self._rules, self._now), most)

    def _first(self, lease: Lease, holders: list[Lease], *, ask: bool = False) -> Lease | None:
        """The first whose slice this one could have; it is taken out of `holders`."""
        for i, holder in enumerate(holders):
            if (not ask or self._may_ask(lease, holder)) and self._fits(lease, holder):
                return holders.pop(i)
            if self._plain and not ask:
                return None  # without reservations all slices are alike
        return None

    def _fits(self, lease: Lease, holder: Lease | None) -> bool:
        found: Terms | None = terms(
            lease, self._rate, self._rooms, self._used(), self._rules, self._now,
            instead_of=holder,
        )
        if found is None:
            return False
        if holder is not None:
            self._rooms.gone(holder)
        self._rooms.taken(lease, found.until)
        return True

    def _may_ask(self, lease: Lease, holder: Lease) -> bool:
        """Who sits in front of a screen may ask anybody; a run only the idle, and no other run."""
        over = holder.promised is None or holder.promised <= self._now
        if lease.request.kind is Kind.SERVER:
            return True  # `_gives` has let nobody else in
        if holder.request.kind is Kind.RUN:
            return False
        return over and (_idle(self._state, holder, self._now) or overdue(
            lease, self._rules, self._now))

    def _givers(self, here: list[Lease]) -> list[Lease]:
        """In the order in which they give back: runs, the idle, the furthest over their share."""
        state, used = self._state, self._used()

        def key(x: Lease) -> tuple[bool, bool, float, float, str]:
            group, own = used.over(charged_to(state.house, x), x.request.user)
            return (
                x.request.kind is Kind.SERVER, not _idle(state, x, self._now), -group, -own, x.id,
            )

        return sorted(here, key=key)

    def _ask(self, giver: Lease) -> Told:
        if giver.request.kind is Kind.RUN:
            return ended(giver, Why.PREEMPTED)
        why = Why.IDLE if _idle(self._state, giver, self._now) else Why.WAITING
        return Noticed(giver.id, why, self._now + self._rules.notice)


def ended(lease: Lease, why: Why) -> Ended:
    """The end of a lease by a rule, in words."""
    return Ended(lease.id, CAUSES[why], why)


def _gives(state: State, holder: Lease, now: datetime) -> bool:
    """Whether a holder can be asked at all: after its promise, or before it where it is idle."""
    if holder.promised is None or holder.promised <= now:
        return True
    return holder.request.kind is Kind.SERVER and _idle(state, holder, now)


def _for_others(lease: Lease) -> bool:
    """Whether a notice was given for somebody's sake, and not because time is over."""
    return lease.notice is not None and lease.notice.why in (Why.WAITING, Why.IDLE)


def _came_back(state: State, lease: Lease, now: datetime) -> bool:
    idle = lease.notice is not None and lease.notice.why is Why.IDLE
    return idle and not _idle(state, lease, now)


def _idle(state: State, lease: Lease, now: datetime) -> bool:
    since = idle_since(lease, now)
    return since is not None and now - since >= state.house.rules.idle
