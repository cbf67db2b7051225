"""Who is next, which slice, until when, and who gives one back: `turn` is one whole decision.

    turn = what is over ends ─► reservations shorten who would be in their way ─► free slices are
           given ─► for those who still wait, somebody is told to give back

Order of those who wait for a size: members in their reserved hours · who has waited beyond patience
· servers by share · runs by share (`order.order`). All of it is a function of the state and `now`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from hub.core.events import Effect, Ended, Event, Granted, Limited, Moved, Noticed, Spared
from hub.core.lease import step
from hub.core.nouns import Draft, Kind, Lease, State, Why
from hub.core.order import idle_since, order, overdue
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.share import Standing, charged_to, standing
from hub.core.sizes import best_first
from hub.core.survey import Survey


class Lazy:
    """Everybody's use, counted when it is first asked for: most turns have nothing to decide."""

    def __init__(self, count: Callable[[], Standing]) -> None:
        self._count = count
        self._found: Standing | None = None

    def __call__(self) -> Standing:
        """The use, with what was charged since."""
        if self._found is None:
            self._found = self._count()
        return self._found


def turn(state: State, now: datetime) -> Moved:
    """The state after every decision that is due at `now`, and what is to be done about it."""
    effects: list[Effect] = []
    given, state = state, replace(state, leases=Draft(state.leases))
    changed = False

    def apply(events: Iterable[Event]) -> bool:
        nonlocal state, changed
        events = list(events)
        changed = changed or bool(events)
        for event in events:
            state, more = step(state, event, now)
            effects.extend(more)
        return bool(events)

    seen = Survey(state)
    if apply(_over(state, seen, now)):
        seen = Survey(state)
    rooms = Rooms(state, now, seen)
    if apply(_make_way(rooms, now)):
        seen = Survey(state)
    used = Lazy(lambda: standing(state, now))
    if seen.waiting and apply(_grants(state, seen, rooms, used, now)):
        seen = Survey(state)
    apply(_told_in_time(state, seen, now))
    apply(_asking(state, seen, rooms, used, now))
    return replace(state, leases=dict(state.leases)) if changed else given, tuple(effects)


# ---- what is over ---------------------------------------------------------------------------


def _over(state: State, seen: Survey, now: datetime) -> list[Event]:
    found: list[Event] = []
    for lease in seen.live:
        if lease.notice is not None and lease.notice.leave_by <= now:
            found.append(_ended(lease, lease.notice.why))
        elif lease.until is not None and lease.until <= now:
            found.append(_ended(lease, _bound(state, lease)))
    return found


def _ended(lease: Lease, why: Why) -> Ended:
    return Ended(lease.id, _CAUSES[why], why)


# what the holder reads afterwards; face translates it
_CAUSES = {
    Why.WAITING: "its promised time was over and somebody waited",
    Why.IDLE: "nothing happened on it and somebody waited",
    Why.RESERVED: "its slice was reserved from then on",
    Why.LIMIT: "the longest time that a slice may be held was over",
    Why.PREEMPTED: "somebody in front of a screen needed its slice",
    Why.HAND: "ended by hand",
}


def _bound(state: State, lease: Lease) -> Why:
    """Which rule set a lease's latest end."""
    rules = state.house.rules
    assert lease.granted_at is not None
    assert lease.until is not None
    server = lease.request.kind is Kind.SERVER
    return Why.LIMIT if server and lease.until >= lease.granted_at + rules.max_hold else (
        Why.RESERVED
    )


def _told_in_time(state: State, seen: Survey, now: datetime) -> list[Event]:
    """Whose latest end is near is told so with the usual countdown."""
    soon = now + state.house.rules.notice
    return [
        Noticed(x.id, _bound(state, x), x.until) for x in seen.live
        if x.until is not None and x.until <= soon
        and (x.notice is None or x.notice.leave_by > x.until)
    ]


# ---- reservations ---------------------------------------------------------------------------


def _make_way(rooms: Rooms, now: datetime) -> list[Event]:
    """A reservation that was made after a grant: who would be in its way gets an end before it.

    Runs first, then the lease that was granted last: it was promised least.
    """
    found: list[Event] = []
    for room in rooms.crowded():
        latest = max(room.closes, now)
        outsiders = sorted(
            (x for x in room.outsiders if x.promised is None or x.promised <= latest),
            key=lambda x: (x.request.kind is Kind.SERVER, -_stamp(x.granted_at)),
        )
        for lease in outsiders[:-room.spare]:
            found.append(Limited(lease.id, latest))
            rooms.shortened(lease, latest)
    return found


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


# ---- giving ---------------------------------------------------------------------------------


def grants(state: State, now: datetime) -> tuple[Granted, ...]:
    """Which waiting requests get which slices now."""
    seen = Survey(state)
    used = Lazy(lambda: standing(state, now))
    return tuple(_grants(state, seen, Rooms(state, now, seen), used, now))


def _grants(
    state: State, seen: Survey, rooms: Rooms, used: Lazy, now: datetime
) -> list[Granted]:
    rules = state.house.rules
    given: list[Granted] = []
    for profile, here in best_first(state, seen.waiting).items():
        shares = used()
        for lease in order(seen.waiting[profile], rooms, shares, rules, now):
            one = _grant(lease, here[-1].rate, rooms, shares, rules, now)
            if one is None:
                continue
            found = here.pop()
            until, promised, reservation = one
            given.append(Granted(lease.id, found.key, until, promised, reservation))
            entry = found.rate * (rules.entry.total_seconds() / 3600)
            group = rooms.group_of(reservation) or lease.request.group
            shares.charge(group, lease.request.user, entry)
            rooms.taken(lease, until)
            if not here:
                break
    return given


def _grant(
    lease: Lease, rate: float, rooms: Rooms, used: Standing, rules: Rules, now: datetime,
    *, instead: bool = False,
) -> tuple[datetime | None, datetime, str] | None:
    """(latest end, promised until, reservation) for a request if it may have a slice now."""
    server = lease.request.kind is Kind.SERVER
    hold = rules.min_hold if server else rules.run_hold
    found = rooms.admit(lease, instead=instead)
    if found is None:
        return None
    until, reservation = found
    group = rooms.group_of(reservation) or lease.request.group
    if used.left(group, lease.request.user) < rate * (hold.total_seconds() / 3600):
        return None
    if server:
        longest = now + rules.max_hold
        until = longest if until is None else min(until, longest)
    promised = now + hold if until is None else min(now + hold, until)
    return until, promised, reservation


# ---- asking back ----------------------------------------------------------------------------


def _asking(
    state: State, seen: Survey, rooms: Rooms, used: Lazy, now: datetime
) -> list[Event]:
    """Who is told to give back, and who need not any more."""
    found: list[Event] = []
    for profile, here in seen.held.items():
        can = [x for x in here if _gives(state, x, strong=True, now=now)]
        told = [x for x in here if x.notice is not None]
        if not can and not told:
            continue
        # nobody is asked for whom a slice comes anyway, nor for more people than can give
        most = seen.coming[profile] + len(told) + len(can)
        line = _wanted(state, seen.waiting.get(profile, ()), rooms, used, now, profile, most)
        coming = seen.coming[profile]
        found += _unneeded([x for x in told if _for_others(x)], len(line) - coming)
        if can and len(line) > coming + len(told):
            found += _asked(state, line[coming + len(told):], _givers(state, can, used(), now), now)
    return found


def _wanted(
    state: State, line: Sequence[Lease], rooms: Rooms, used: Lazy, now: datetime, profile: str,
    most: int,
) -> list[Lease]:
    """The first for whom only a slice is missing: not a quota, not because of reserved hours."""
    if not line:
        return []
    rules = state.house.rules
    rate = next((s.rate for k, s in state.slices.items() if k.profile == profile), 1.0)
    may = (
        x for x in order(line, rooms, used(), rules, now)
        if _grant(x, rate, rooms, used(), rules, now, instead=True)
    )
    return list(islice(may, most))


def _unneeded(told: list[Lease], needed: int) -> list[Event]:
    """Notices for which nobody waits any more, the newest first."""
    newest = sorted(told, key=lambda x: (_notice_at(x), x.id), reverse=True)
    return [Spared(x.id) for x in newest[:max(0, len(told) - max(0, needed))]]


def _for_others(lease: Lease) -> bool:
    """Whether a notice was given for somebody's sake, and not because time is over."""
    return lease.notice is not None and lease.notice.why in (Why.WAITING, Why.IDLE)


def _notice_at(lease: Lease) -> float:
    return _stamp(lease.notice.at if lease.notice else None)


def _givers(state: State, here: list[Lease], used: Standing, now: datetime) -> list[Lease]:
    """Who holds, in the order in which they give back: runs, the idle, the furthest over share."""
    def key(x: Lease) -> tuple[bool, bool, float, float, str]:
        group, own = used.over(charged_to(state.house, x), x.request.user)
        return (
            x.request.kind is Kind.SERVER, not _idle(state, x, now), -group, -own, x.id,
        )

    return sorted(here, key=key)


def _asked(state: State, line: list[Lease], holders: list[Lease], now: datetime) -> list[Event]:
    """One giver for each who waits, as far as there are any."""
    # who sits in front of a screen, or has waited too long, may ask more than a run may
    strong = deque(x for x in holders if _gives(state, x, strong=True, now=now))
    weak = deque(x for x in holders if _gives(state, x, strong=False, now=now))
    found: dict[str, Event] = {}
    for waiter in line:
        server = waiter.request.kind is Kind.SERVER
        pool = strong if server or overdue(waiter, state.house.rules, now) else weak
        while pool and pool[0].id in found:
            pool.popleft()
        if pool:
            giver = pool.popleft()
            found[giver.id] = _ask(state, giver, now)
        elif not strong:
            break
    return list(found.values())


def _gives(state: State, holder: Lease, *, strong: bool, now: datetime) -> bool:
    """Whether this holder can be asked: after its promise, or before it by the strong if idle."""
    if holder.notice is not None:
        return False
    over = holder.promised is None or holder.promised <= now
    if holder.request.kind is Kind.SERVER and _idle(state, holder, now):
        return strong or over
    return strong and over


def _ask(state: State, giver: Lease, now: datetime) -> Event:
    if giver.request.kind is Kind.RUN:
        return _ended(giver, Why.PREEMPTED)
    why = Why.IDLE if _idle(state, giver, now) else Why.WAITING
    return Noticed(giver.id, why, now + state.house.rules.notice)


def _idle(state: State, lease: Lease, now: datetime) -> bool:
    since = idle_since(lease, state.house.rules, now)
    return since is not None and now - since >= state.house.rules.idle
