"""Who is next, which slice, until when, and who gives one back: `turn` is one whole decision.

    turn = what is over ends ─► reservations shorten who would be in their way ─► free slices are
           given ─► for those who still wait, somebody is told to give back

Order of those who wait for a size: members in their reserved hours · who has waited beyond patience
· servers by share · runs by share (`order.order`). All of it is a function of the state and `now`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from hub.core.events import Effect, Ended, Granted, Lifted, Limited, Moved, Noticed, Spared
from hub.core.giving import Told, asking, ended
from hub.core.lease import step
from hub.core.nouns import Kind, State, Why
from hub.core.order import order
from hub.core.room import Rooms
from hub.core.share import Standing, standing
from hub.core.sizes import best_first
from hub.core.survey import Survey
from hub.core.terms import bound, terms

_Decided = Ended | Granted | Limited | Lifted | Noticed | Told


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
    given, state = state, state.draft()
    changed = False

    def apply(events: Iterable[_Decided]) -> set[str]:
        nonlocal state, changed
        moved = set()
        for event in events:
            state, more = step(state, event, now)
            effects.extend(more)
            moved.add(event.id)
        changed = changed or bool(moved)
        return moved

    seen = Survey(state)
    seen.moved(state, apply(_over(state, seen, now)))
    rooms = Rooms(state, now, seen)
    seen.moved(state, apply(_make_way(state, seen, rooms, now)))
    used = Lazy(lambda: standing(state, now))
    if seen.waiting:
        seen.moved(state, apply(_grants(state, seen, rooms, used, now)))
    seen.moved(state, apply(_told_in_time(state, seen, now)))
    apply(asking(state, seen, rooms, used, now))
    return state.settled(given) if changed else given, tuple(effects)


# ---- what is over ---------------------------------------------------------------------------


def _over(state: State, seen: Survey, now: datetime) -> list[_Decided]:
    found: list[_Decided] = []
    for lease in seen.live:
        if lease.notice is not None and lease.notice.leave_by <= now:
            found.append(ended(lease, lease.notice.why))
        elif lease.until is not None and lease.until <= now:
            found.append(ended(lease, bound(state.house, lease)))
    return found


def _told_in_time(state: State, seen: Survey, now: datetime) -> list[_Decided]:
    """Whose latest end is near is told so with the usual countdown."""
    soon = now + state.house.rules.notice
    return [
        Noticed(x.id, bound(state.house, x), x.until) for x in seen.live
        if x.until is not None and x.until <= soon
        and (x.notice is None or x.notice.leave_by > x.until)
    ]


# ---- reservations ---------------------------------------------------------------------------


def _make_way(state: State, seen: Survey, rooms: Rooms, now: datetime) -> list[_Decided]:
    """A reservation that was made after a grant: who would be in its way gets an end before it.

    Runs first, then the lease that was granted last: it was promised least. Nobody is put out
    without a countdown. And the other way round: whose end no reservation needs any more, because
    it was taken back or its class did not come, has it lifted.
    """
    rules = state.house.rules
    found: list[_Decided] = [
        # granted before there were ends
        Limited(x.id, x.granted_at + rules.max_hold) for x in seen.live
        if x.until is None and x.request.kind is Kind.SERVER and x.granted_at is not None
    ]
    for room in rooms.crowded():
        latest = max(room.closes, now + rules.notice)
        outsiders = sorted(
            (x for x in room.outsiders.values() if x.promised is None or x.promised <= latest),
            key=lambda x: (x.request.kind is Kind.SERVER, -_stamp(x.granted_at)),
        )
        for lease in outsiders[:-room.spare]:
            until = room.closes if lease.request.kind is Kind.RUN else latest
            found.append(Limited(lease.id, max(until, now)))
            rooms.shortened(lease, max(until, room.closes))
    return [*found, *_lifted(state, seen, rooms)]


def _lifted(state: State, seen: Survey, rooms: Rooms) -> Iterator[_Decided]:
    max_hold, server = state.house.rules.max_hold, Kind.SERVER
    for lease in seen.live:
        if lease.until is None or lease.granted_at is None:
            continue
        longest = lease.granted_at + max_hold if lease.request.kind is server else None
        if lease.until == longest:
            continue
        may = rooms.admit(lease, instead_of=lease)
        if may is None:
            continue
        ends = [x for x in (may[0], longest) if x is not None]
        until = min(ends, default=None)
        if until is None or until > lease.until:
            rooms.gone(lease)
            rooms.taken(lease, until)
            yield Lifted(lease.id, until)
            if lease.notice is not None and lease.notice.why is Why.LIMIT:
                yield Spared(lease.id)  # the longest hold is a longer one now


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
            one = terms(lease, here[-1].rate, rooms, shares, rules, now)
            if one is None:
                continue
            found = here.pop()
            given.append(Granted(lease.id, found.key, one.until, one.promised, one.reservation))
            shares.give(one.group, lease.request.user, found.rate, one.promised - now)
            rooms.taken(lease, one.until)
            if not here:
                break
    return given
