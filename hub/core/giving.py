"""Who is told to give back, for whom, and who need not any more.

Each who waits is paired with one slice: first with those that come free anyway, then with those
whose holders were told already, then with a holder who can be told. A pair counts only where the
one may have what the other leaves: a class's seat is of no use to an outsider.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime

from hub.core.events import Ended, Noticed, Spared
from hub.core.nouns import Kind, Lease, State, Why
from hub.core.order import at_night, idle_since, order, overdue
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.share import Standing, charged_to
from hub.core.survey import Survey
from hub.core.terms import Terms, terms, within_quota

Told = Ended | Noticed | Spared
_Kinds = dict[Hashable, deque[tuple[int, Lease]]]
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
        self._state, self._rooms, self._now, self._profile = state, rooms, now, profile
        self._rules: Rules = state.house.rules
        self._night = at_night(self._rules, now)
        self._rate = next((s.rate for k, s in state.slices.items() if k.profile == profile), 1.0)
        self._used: Callable[[], Standing]

    def match(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease],
        used: Callable[[], Standing],
    ) -> list[Told]:
        """Notices for those who give, and none any more for those whom nobody needs."""
        self._used = used
        told = sorted(told, key=lambda x: (x.notice.leave_by if x.notice else self._now, x.id))
        pair = self._counted if self._alike(waiting) else self._paired
        found, needed = pair(waiting, coming, told, can) if waiting else ([], set())
        return [
            *found,
            *(Spared(x.id) for x in reversed(told) if x.id not in needed and _for_others(x)),
        ]

    def _paired(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease]
    ) -> tuple[list[Told], set[str]]:
        """Notices, and who of those told already is needed: one slice for each who waits."""
        found: list[Told] = []
        needed: set[str] = set()
        leaving, others = self._sorted(told), self._sorted(self._givers(can))
        left = coming + len(told) + len(can)
        for lease in order(waiting, self._rooms, self._used(), self._rules, self._now):
            if not left:
                break
            left -= 1
            if coming and self._fits(lease, None):
                coming -= 1
            elif (giver := self._first(lease, leaving)) is not None:
                needed.add(giver.id)
            elif (giver := self._first(lease, others, ask=True)) is not None:
                found.append(self._ask(giver))
            elif not within_quota(lease, self._rate, self._used(), self._rules):
                left += 1  # it takes nobody's turn
        return found, needed

    def _alike(self, waiting: list[Lease]) -> bool:
        """Whether counting says the same as pairing: no reservation, and servers before runs."""
        if self._night or self._rooms.has(self._profile):
            return False
        since = self._now - self._rules.run_patience
        return not any(
            x.request.kind is Kind.RUN and x.request.asked_at <= since for x in waiting
        )

    def _counted(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease]
    ) -> tuple[list[Told], set[str]]:
        """As `_paired`, in a tenth of the time."""
        limited = {
            k for k, x in self._state.house.groups.items() if x.quota or x.user_quota
        }
        kinds = Counter(
            x.request.kind for x in waiting if x.request.group not in limited
            or within_quota(x, self._rate, self._used(), self._rules)
        )
        first = coming + len(told)
        servers = max(0, kinds[Kind.SERVER] - first)
        runs = max(0, kinds.total() - first - servers)
        needed = {x.id for x in told[:max(0, kinds.total() - coming)]}
        givers = self._givers(can) if servers or runs else []
        weak = [
            x for x in givers[servers:] if x.request.kind is Kind.SERVER and self._over(x)
            and _idle(self._state, x, self._now)
        ]
        return [self._ask(x) for x in (*givers[:servers], *weak[:runs])], needed

    def _sorted(self, holders: Iterable[Lease]) -> _Kinds:
        """By what they leave behind and who may ask them, each in the order given."""
        found: _Kinds = {}
        for i, holder in enumerate(holders):
            kind = (
                self._rooms.kind_of(holder), holder.request.kind, self._over(holder),
                _idle(self._state, holder, self._now),
            )
            found.setdefault(kind, deque()).append((i, holder))
        return found

    def _first(self, lease: Lease, holders: _Kinds, *, ask: bool = False) -> Lease | None:
        """The first whose slice this one could have; it is taken out of `holders`."""
        for line in sorted((x for x in holders.values() if x), key=lambda x: x[0][0]):
            holder = line[0][1]
            if (not ask or self._may_ask(lease, holder)) and self._fits(lease, holder):
                line.popleft()
                return holder
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
        """Who sits in front of a screen may ask anybody; a run no run, and by day only the idle."""
        if lease.request.kind is Kind.SERVER:
            return True  # `_gives` has let nobody else in
        if holder.request.kind is Kind.RUN:
            return False
        return self._over(holder) and (
            self._night or _idle(self._state, holder, self._now)
            or overdue(lease, self._rules, self._now)
        )

    def _over(self, holder: Lease) -> bool:
        return holder.promised is None or holder.promised <= self._now

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
    idle = state.house.rules.idle
    # most of them, so it is asked first: never heard of, or at work just now
    if lease.heard_at is None or (lease.active_at and now - lease.active_at < idle):
        return False
    since = idle_since(lease, now)
    return since is not None and now - since >= idle
