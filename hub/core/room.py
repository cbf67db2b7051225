"""What reservations leave for the others, and until when.

Slices of one profile are alike, so nothing is kept but a count: at the beginning of each window,
all slices less those promised to its members must be enough for the outsiders who may still hold
one then. A holder who belongs to the reservation's group takes one of its places.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.core.nouns import Lease, State
from hub.core.rules import Reservation, Window
from hub.core.survey import Survey
from hub.core.timetable import windows

_HORIZON = timedelta(hours=24)


@dataclass
class _Place:
    """One reservation in one room: how many of its slices its members hold already."""

    reservation: Reservation
    window: Window
    taken: int = 0

    @property
    def left(self) -> int:
        """Slices of it that no member holds yet."""
        return max(0, self.reservation.count - self.taken)


@dataclass
class Room:
    """A profile at one moment: now, or when a window begins.

    `closes`: outsiders have to be gone by then. `spare`: how many more outsiders there may be;
    negative where there are too many.
    """

    at: datetime
    closes: datetime
    now: bool
    total: int
    places: list[_Place]
    outsiders: dict[str, Lease] = field(default_factory=dict)
    seats: dict[str, _Place] = field(default_factory=dict)
    grace: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.groups = frozenset(x.reservation.group for x in self.places)

    @property
    def spare(self) -> int:
        """Slices that outsiders may still be given with an end after `closes`."""
        kept = sum(x.taken + (x.left if self.keeps(x) else 0) for x in self.places)
        return self.total - kept - len(self.outsiders)

    def keeps(self, place: _Place) -> bool:
        """Whether what its members did not take is kept from the others."""
        # what members did not take within the grace time goes back to all
        return self.at < place.window.begins + self.grace

    def place_for(self, lease: Lease) -> _Place | None:
        """Where a member of a reserving group belongs; None for an outsider, or when it is full."""
        request = lease.request
        if not lease.reservation and request.group not in self.groups and (
            self.groups.isdisjoint(request.member_of)
        ):
            return None
        asked = lease.request
        for fits in (
            lambda x: x.reservation.id == lease.reservation,
            lambda x: x.reservation.group == asked.group,
            lambda x: x.reservation.group in asked.member_of,
        ):
            found = next((x for x in self.places if x.left and fits(x)), None)
            if found is not None:
                return found
        return None

    def enter(self, lease: Lease) -> None:
        """Count a holder."""
        place = self.place_for(lease)
        if place is not None:
            place.taken += 1
            self.seats[lease.id] = place
        else:
            self.outsiders[lease.id] = lease

    def leave(self, lease: Lease) -> bool:
        """Count a holder no more; whether it was counted."""
        seat = self.seats.pop(lease.id, None)
        if seat is not None:
            seat.taken -= 1
            return True
        return self.outsiders.pop(lease.id, None) is not None


Admitted = tuple[datetime | None, str, datetime | None]


class Rooms:
    """All rooms of the next hours. Changes while slices are given away: `taken`, `shortened`."""

    def __init__(self, state: State, now: datetime, seen: Survey | None = None) -> None:
        self._now = now
        self._house = state.house
        self._rooms: dict[str, list[Room]] = {}
        self._held: dict[str, list[Lease]] = {}
        profiles = {x.profile for x in state.house.reservations.values()}
        if not profiles:
            return
        seen = seen or Survey(state)
        self._held = seen.held
        out = seen.out
        totals = Counter(
            k.profile for k, s in state.slices.items()
            if k.profile in profiles and s.present and not s.blocked and not (out and k in out)
        )
        for profile in profiles:
            total = totals[profile]
            self._rooms[profile] = list(self._build(profile, total, seen.held.get(profile, [])))

    def _build(self, profile: str, total: int, held: list[Lease]) -> Iterator[Room]:
        rules, now = self._house.rules, self._now
        horizon = now + max(rules.max_hold, _HORIZON) + rules.margin
        found = sorted(
            ((w, r) for r in self._house.reservations.values() if r.profile == profile
             for w in windows(r, now, horizon)),
            key=lambda x: (x[0], x[1].id),
        )
        for at in sorted({max(now, w.begins) for w, _ in found}):
            places = [_Place(r, w) for w, r in found if w.begins <= at < w.ends]
            active = at <= now
            closes = now if active else at - rules.margin
            room = Room(at, closes, active, total, places, grace=rules.grace)
            for lease in held:
                # a notice may be taken back; only the latest end is certain
                if active or lease.until is None or lease.until > closes:
                    room.enter(lease)
            yield room

    def has(self, profile: str, *, on: bool = False) -> bool:
        """Whether anything of this size is reserved in the next hours, or just now (`on`)."""
        return any(x.now or not on for x in self._rooms.get(profile, ()))

    def admit(self, lease: Lease, *, instead_of: Lease | None = None) -> Admitted | None:
        """(latest end or None, reservation id or "", end of its hours) for a new holder.

        None where there is no room. `instead_of`: in the place of this holder, who gives back.
        """
        rooms = self._rooms.get(lease.request.profile, ())
        left = [x for x in rooms if instead_of is not None and x.leave(instead_of)]
        try:
            return self._admit(lease, rooms)
        finally:
            for room in left:
                assert instead_of is not None
                room.enter(instead_of)

    def could(self, lease: Lease) -> bool:
        """Whether it may have a slice now, or in the place of anybody who gives back."""
        if self.admit(lease) is not None:
            return True
        alike = {self.kind_of(x): x for x in self._held.get(lease.request.profile, ())}
        return any(self.admit(lease, instead_of=x) is not None for x in alike.values())

    def kind_of(self, holder: Lease) -> Hashable:
        """Two holders of one size with the same kind leave the same behind.

        In each room one has a seat of a reservation, is an outsider, or will have gone.
        """
        id = holder.id
        return tuple(
            x.seats[id].reservation.id if id in x.seats else id in x.outsiders
            for x in self._rooms.get(holder.request.profile, ())
        )

    def _admit(self, lease: Lease, rooms: Iterable[Room]) -> Admitted | None:
        until, reservation, ends = None, "", None
        for room in rooms:
            place = room.place_for(lease)
            if place is not None:
                if room.now:
                    reservation, ends = place.reservation.id, place.window.ends
                continue
            if room.spare >= 1:
                continue
            if room.now:
                return None
            until = room.closes
            break
        if until is not None and until - self._now < self._house.rules.shortest:
            return None
        return until, reservation, ends

    def gone(self, lease: Lease) -> None:
        """A holder gives back."""
        for room in self._rooms.get(lease.request.profile, ()):
            room.leave(lease)

    def in_own_hours(self, lease: Lease) -> bool:
        """Whether a slice is kept for this one now."""
        return bool(self._rooms) and any(
            r.now and r.place_for(lease) is not None
            for r in self._rooms.get(lease.request.profile, ())
        )

    def taken(self, lease: Lease, until: datetime | None) -> None:
        """A slice was given to a request, until then."""
        for room in self._rooms.get(lease.request.profile, ()):
            if room.now or until is None or until > room.closes:
                room.enter(lease)

    def shortened(self, lease: Lease, until: datetime) -> None:
        """A holder's end came earlier."""
        for room in self._rooms.get(lease.request.profile, ()):
            if not room.now and until <= room.closes:
                room.leave(lease)

    def crowded(self) -> Iterator[Room]:
        """Coming rooms with too many outsiders, the next first."""
        for rooms in self._rooms.values():
            for room in rooms:
                if not room.now and room.spare < 0:
                    yield room

    def opens(self, profile: str) -> datetime | None:
        """When outsiders are let in again, where reserved hours keep them out now; else None."""
        rules = self._house.rules
        shut = [
            p.window for r in self._rooms.get(profile, ()) if r.spare < 1
            and (r.now or r.closes - self._now < rules.shortest) for p in r.places
        ]
        return max((w.ends for w in shut), default=None)

    def closes(self, profile: str) -> datetime | None:
        """Until when outsiders could have what is free now; None where there is no such time."""
        shut = (r.closes for r in self._rooms.get(profile, ()) if not r.now and r.spare < 1)
        return min(shut, default=None)

    def reserved(self, profile: str) -> tuple[int, int]:
        """(slices promised to groups just now, how many of them are kept for who has none yet)."""
        here = [(r, x) for r in self._rooms.get(profile, ()) if r.now for x in r.places]
        return (
            sum(x.reservation.count for _, x in here),
            sum(x.left for r, x in here if r.keeps(x)),
        )

    def group_of(self, reservation: str) -> str:
        """The group that a reservation is for; "" for none."""
        found = self._house.reservations.get(reservation)
        return found.group if found else ""
