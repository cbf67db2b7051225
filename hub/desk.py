"""The verbs of the floor's desk: reservations, groups, usage, slices taken out of use.

Each is one write transaction of the store, as the broker's are, with every decision that follows
from it, and is logged with who did it.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.broker import Broker
from hub.core import groups, reserving, roster, usage
from hub.core.groups import GroupFacts, OwnFacts
from hub.core.hours import WEEK, local_of, next_window, readable, windows, zone_of
from hub.core.lease import Blocked, State, step
from hub.core.mig import SLOTS, Slice, SliceKey
from hub.core.reserving import Wanted
from hub.core.roster import Member
from hub.core.rules import Group, Reservation, Window
from hub.core.share import group_of
from hub.core.usage import UsageRow
from hub.errors import BadInput, NotFound

log = logging.getLogger("madang.desk")
_FAR = timedelta(days=5 * 366)
_PARTS = 4  # of a slice's key
_STARTS = frozenset(map(str, range(SLOTS)))


class Desk:
    """Everything about the line that no lease moves. Safe from many threads and processes."""

    def __init__(
        self, broker: Broker, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.broker = broker
        self._store = broker.edges.store
        self._clock = clock

    # ---- reservations ----------------------------------------------------------------------

    def reserve(self, wanted: Wanted, by: str, *, dry_run: bool = False) -> Reservation:
        """Promise slices to a group; `dry_run` only checks.

        Raises:
            BadInput: it cannot be, or (reason "reservation-conflict") others stand in the way;
                says when it would fit.
            Unavailable: no card has been seen yet, or the store does not answer.
        """
        now, people = self._clock(), self._store.members()
        with self.broker.deciding() as unit:
            try:
                made = reserving.reservation_of(
                    unit.state, wanted, _names(unit.state, people),
                    id="" if dry_run else secrets.token_hex(4), by=by, now=now,
                )
            except BadInput as e:
                if dry_run:
                    raise reserving.previewed(e) from None
                raise
            if dry_run:
                return made
            house = unit.state.house
            keep = timedelta(days=self.broker.settings.keep_days)
            kept = reserving.without_old(house, now, keep)
            # not over: its hours come back with its time zone
            kept |= {k: x for k, x in house.reservations.items() if not readable(x)}
            unit.state = replace(
                unit.state, house=replace(house, reservations={**kept, made.id: made})
            )
        log.info("%s reserves: %s", by, made)
        return made

    def unreserve(self, id: str, by: str) -> Reservation:
        """Take a reservation back; leases given from it go on as others do.

        Raises:
            NotFound: there is none with this id.
        """
        with self.broker.deciding() as unit:
            house = unit.state.house
            found = house.reservations.get(id)
            if found is None:
                raise _no_reservation(id)
            rest = {k: x for k, x in house.reservations.items() if k != id}
            unit.state = replace(unit.state, house=replace(house, reservations=rest))
        log.info("%s takes back: %s", by, found)
        return found

    def reservation(self, id: str) -> Reservation:
        """One reservation.

        Raises:
            NotFound: there is none with this id.
        """
        found = self._store.read().house.reservations.get(id)
        if found is None:
            raise _no_reservation(id)
        return found

    def reservations(self) -> tuple[tuple[Reservation, Window | None], ...]:
        """Those that are not over, with their next hours (or those that are on), soonest first.

        Without hours, at the end: those whose time zone this machine does not know.
        """
        now = self._clock()
        every = sorted(self._store.read().house.reservations.values(), key=lambda x: x.id)
        found = [(x, w) for x in every if (w := next_window(x, now)) is not None]
        lost = [(x, None) for x in every if not readable(x)]
        return (*sorted(found, key=lambda x: x[1]), *lost)

    def next_hours(self, made: Reservation) -> Window | None:
        """Its next hours, or those that are on; None when it is over."""
        return next_window(made, self._clock())

    def hours(self, begin: str, weeks: int) -> tuple[tuple[Reservation, Window], ...]:
        """All reserved hours of so many weeks from `begin` (as typed; "" is now) on, in order.

        Raises:
            BadInput: no moment, or one that is years away.
        """
        now = self._clock()
        at = usage.read_moment(begin, self.broker.settings.timezone, now) if begin else now
        if abs(at - now) > _FAR:
            raise BadInput("That is too many years away.", reason="bad-request")
        found = [
            (x, w) for x in self._store.read().house.reservations.values()
            for w in windows(x, at, at + weeks * WEEK)
        ]
        return tuple(sorted(found, key=lambda x: (x[1], x[0].id)))

    # ---- groups ----------------------------------------------------------------------------

    def groups(self) -> tuple[GroupFacts, ...]:
        """Every group of the roster and every one with settings, by name."""
        return groups.facts(self._store.read(), self._store.members(), self._clock())

    def set_group(
        self, name: str, changes: Mapping[str, object], by: str, *, create: bool = False
    ) -> GroupFacts:
        """Change a group's weight, quota, user_quota or ends; `create` makes one that is new.

        Raises:
            BadInput: no name for a group, or a value that cannot be.
            NotFound: neither the roster nor the settings know it.
        """
        roster.check_group(name)
        now = self._clock()
        with self.broker.deciding() as unit:
            house, known = unit.state.house, _names(unit.state, unit.members)
            if name not in known and not create:
                raise NotFound(
                    "There is no group {group}. The groups here: {groups}. To make a new one, on "
                    "the command line: madang group set --create …",
                    group=repr(name), groups=", ".join(sorted(known)) or "-",
                )
            today = local_of(now, zone_of(house.rules.zone)).date()
            made = groups.changed(group_of(house, name), changes, today)
            unit.state = replace(
                unit.state, house=replace(house, groups={**house.groups, name: made})
            )
        log.info("%s sets: %s", by, made)
        return self._facts(name)

    def remove_group(self, name: str, by: str) -> Group:
        """A group's settings go back to the defaults; who is in it, the roster says.

        Raises:
            NotFound: nobody is in it, and it has no settings.
        """
        people = self._store.members()
        with self.broker.deciding() as unit:
            house = unit.state.house
            if name not in _names(unit.state, people):
                raise NotFound("There is no group {group}.", group=repr(name[:64]))
            rest = {k: x for k, x in house.groups.items() if k != name}
            unit.state = replace(unit.state, house=replace(house, groups=rest))
        log.info("%s removes the settings of group %r", by, name)
        return Group(name)

    def own(self, user: str) -> tuple[OwnFacts, ...]:
        """What a person has used this week and may, in each group."""
        return groups.own_facts(self._store.read(), self._store.members(), user, self._clock())

    def _facts(self, name: str) -> GroupFacts:
        return next(x for x in self.groups() if x.group.name == name)

    # ---- usage -----------------------------------------------------------------------------

    def usage(
        self, since: str, until: str, named: Callable[[str, str], str | None]
    ) -> tuple[UsageRow, ...]:
        """What was used between two moments as somebody typed them; `until` "" is now.

        Args:
            named: (group, user) → whose row it goes into; None for a sum.

        Raises:
            BadInput: no moments, or the end is not after the beginning.
        """
        now, zone = self._clock(), self.broker.settings.timezone
        begin = usage.read_moment(since, zone, now)
        end = min(usage.read_moment(until, zone, now), now) if until else now
        if end <= begin:
            raise BadInput(
                "The end is not after the beginning, or both lie ahead.", reason="bad-request"
            )
        found = self._store.leases_between(begin, end)
        return usage.usage_rows(found, self._store.read().house, begin, end, named)

    # ---- slices ----------------------------------------------------------------------------

    def block(self, key: str, why: str, by: str) -> Slice:
        """Take a slice out of use, named by node/gpu/profile/start; its holder, if any, keeps it.

        Raises:
            BadInput: no reason.
            NotFound: no such slice.
        """
        if not why.strip():
            raise BadInput("Say why the slice is taken out of use.", reason="bad-request")
        return self._set_blocked(key, why.strip(), by)

    def unblock(self, key: str, by: str) -> Slice:
        """Put a slice back into use.

        Raises:
            NotFound: no such slice.
        """
        return self._set_blocked(key, "", by)

    def _set_blocked(self, text: str, why: str, by: str) -> Slice:
        now = self._clock()
        with self.broker.deciding() as unit:
            key = _key(text)
            if key is None or key not in unit.state.slices:
                raise NotFound(
                    "There is no slice {key}. `madang slices` shows them.", key=repr(text[:200])
                )
            unit.state, _ = step(unit.state, Blocked(key, why), now)
            found = unit.state.slices[key]
        log.info("%s %s slice %s: %r", by, "blocks" if why else "unblocks", key, why)
        return found


def key_text(key: SliceKey) -> str:
    """How a slice is named to people: node/gpu/profile/start."""
    return f"{key.node}/{key.gpu}/{key.profile}/{key.start}"


def _key(text: str) -> SliceKey | None:
    parts = text.rsplit("/", _PARTS - 1)
    if len(parts) != _PARTS or parts[-1] not in _STARTS:
        return None
    node, gpu, profile, start = parts
    return SliceKey(node, gpu, profile, int(start))


def _names(state: State, people: Iterable[Member]) -> Collection[str]:
    return {x.group for x in people} | state.house.groups.keys()


def _no_reservation(id: str) -> NotFound:
    return NotFound("There is no reservation {id}. `madang reserve list` shows them.", id=id)
