"""Who is told to give back, for whom, and who need not any more.

Each who waits is paired with one slice: first with those that come free anyway, then with those
whose holders were told already, then with a holder who can be told. A pair counts only where the
one may have what the other leaves: a class's seat is of no use to an outsider.
"""

from bisect import insort
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime

from hub.core.events import Ended, Noticed, Spared
from hub.core.nouns import Kind, Lease, State, Why
from hub.core.order import at_night, idle_since, order, overdue
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.share import Standing, charged_to
from hub.core.survey import Survey
from hub.core.terms import terms, too_long, within_quota

Told = Ended | Noticed | Spared
_Line = list[tuple[int, Lease]]  # of holders with their numbers; the next one is the last
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
        back = {x.id for x in told if _came_back(state, x, now)}
        if back:
            found += [Spared(x.id) for x in told if x.id in back]
            told = [x for x in told if x.id not in back]
        can = [x for x in here if x.notice is None and (
            x.promised is None or x.promised <= now or _gives(state, x, now)
        )]
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
        self._limited = {
            k for k, x in state.house.groups.items() if (x.quota, x.user_quota) != (None, None)
        }
        self._used: Callable[[], Standing]
        # who fits in whose place, as long as the rooms are as they are; see `_fits`
        self._fit: dict[tuple[Hashable, Hashable], bool] = {}
        self._places: dict[str, Hashable] = {}

    def match(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease],
        used: Callable[[], Standing],
    ) -> list[Told]:
        """Notices for those who give, and none any more for those whom nobody needs."""
        self._used = used
        pair = self._counted if self._alike(waiting) else self._paired
        found, needed = pair(waiting, coming, told, can) if waiting else ([], set())
        spared = [x for x in told if x.request.id not in needed and _for_others(x)]
        return [*found, *(Spared(x.id) for x in sorted(spared, key=_leaves, reverse=True))]

    def _paired(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease]
    ) -> tuple[list[Told], set[str]]:
        """Notices, and who of those told already is needed: one slice for each who waits."""
        found: list[Told] = []
        needed: set[str] = set()
        leaving = self._sorted(sorted(told, key=_leaves))
        others = self._sorted(self._givers(can))
        left = coming + len(told) + len(can)
        for lease in order(waiting, self._rooms, self._used(), self._rules, self._now):
            if not left or not (coming or leaving or others):
                break
            left -= 1
            kind = self._kind(lease)
            if coming and self._fits(lease, kind, None):
                coming -= 1
            elif (giver := self._first(lease, kind, leaving)) is not None:
                needed.add(giver.id)
            elif (giver := self._first(lease, kind, others, ask=True)) is not None:
                found.append(self._ask(giver))
            elif not within_quota(lease, self._rate, self._used(), self._rules):
                left += 1  # it takes nobody's turn
        return found, needed

    def _alike(self, waiting: list[Lease]) -> bool:
        """Whether counting says the same as pairing: anybody may have any slice, servers first.

        Hours that are reserved later keep nobody out, but a run that would not be done by then.
        """
        open_until = self._rooms.open_until(self._profile)
        if self._night or (open_until is not None and open_until <= self._now):
            return False
        since, run = self._now - self._rules.run_patience, Kind.RUN
        return not any(
            x.request.asked_at <= since or (
                open_until is not None and too_long(x, open_until, self._now)
            )
            for x in waiting if x.request.kind is run
        )

    def _counted(
        self, waiting: list[Lease], coming: int, told: list[Lease], can: list[Lease]
    ) -> tuple[list[Told], set[str]]:
        """As `_paired`, in a tenth of the time."""
        if self._limited:
            waiting = [
                x for x in waiting if x.request.group not in self._limited
                or within_quota(x, self._rate, self._used(), self._rules)
            ]
        first, server = coming + len(told), Kind.SERVER
        servers = max(0, len([x for x in waiting if x.request.kind is server]) - first)
        runs = max(0, len(waiting) - first - servers)
        many = max(0, len(waiting) - coming)
        first_to_leave = sorted(told, key=_leaves)[:many] if many < len(told) else told
        needed = {x.request.id for x in first_to_leave}
        givers = self._givers(can) if servers or runs else []
        weak = [
            x for x in givers[servers:] if x.request.kind is server and self._over(x)
            and _idle(self._state, x, self._now)
        ]
        return [self._ask(x) for x in (*givers[:servers], *weak[:runs])], needed

    def _kind(self, lease: Lease) -> Hashable:
        """Two who wait with the same kind fit in the same places."""
        request, group = lease.request, self._rooms.member(lease)
        # a member may use up the quota of another group than its own
        quota = request.group in self._limited or (group is not None and self._limited)
        who = (request.group, request.user) if quota else None
        if request.kind is Kind.SERVER:
            return (group, who)
        late = overdue(lease, self._rules, self._now)
        return (group, who, late, None if late else request.needs)

    def _sorted(self, holders: Iterable[Lease]) -> list[_Line]:
        """By what they leave behind and who may ask them, each in the order given."""
        found: dict[Hashable, _Line] = {}
        for i, holder in enumerate(holders):
            self._places[holder.id] = self._rooms.place(holder)
            kind = (
                self._rooms.kind_of(holder), holder.request.kind is Kind.RUN, self._over(holder),
                _idle(self._state, holder, self._now),
            )
            found.setdefault(kind, []).append((i, holder))
        return [x[::-1] for x in found.values()]

    def _first(
        self, lease: Lease, kind: Hashable, lines: list[_Line], *, ask: bool = False
    ) -> Lease | None:
        """The first whose slice this one could have; it is taken out of `lines`."""
        for n, line in enumerate(lines):
            holder = line[-1][1]
            if (not ask or self._may_ask(lease, holder)) and self._fits(lease, kind, holder):
                line.pop()
                del lines[n]
                if line:
                    insort(lines, line, key=lambda x: x[-1][0])
                return holder
        return None

    def _fits(self, lease: Lease, kind: Hashable, holder: Lease | None) -> bool:
        """Whether it may have a slice now, or the holder's; if so it has it from then on.

        Where that leaves the rooms as they were, the next two of the same kinds need no look: so
        it is with thousands.
        """
        rooms, place = self._rooms, None if holder is None else self._places[holder.id]
        fits = self._fit.get((kind, place))
        if fits is not None:
            return fits
        before = rooms.counts(self._profile)
        found = terms(
            lease, self._rate, rooms, self._used(), self._rules, self._now, instead_of=holder,
        )
        if found is not None:
            if holder is not None:
                rooms.gone(holder)
            rooms.taken(lease, found.until)
        if rooms.counts(self._profile) == before:
            self._fit[kind, place] = found is not None
        else:
            self._fit.clear()
            if holder is not None:
                self._places[holder.id] = rooms.place(holder)  # another seat, maybe
        return found is not None

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


def _leaves(lease: Lease) -> tuple[datetime, str]:
    assert lease.notice is not None
    return (lease.notice.leave_by, lease.request.id)


def _for_others(lease: Lease) -> bool:
    """Whether a notice was given for somebody's sake, and not because time is over."""
    return lease.notice is not None and lease.notice.why in (Why.WAITING, Why.IDLE)


def _came_back(state: State, lease: Lease, now: datetime) -> bool:
    told = lease.notice is not None and lease.notice.why is Why.IDLE
    return told and not _idle(state, lease, now)


def _idle(state: State, lease: Lease, now: datetime) -> bool:
    idle = state.house.rules.idle
    # most of them, so it is asked first: never heard of, or at work just now
    if lease.heard_at is None or (lease.active_at and now - lease.active_at < idle):
        return False
    since = idle_since(lease, now)
    return since is not None and now - since >= idle
