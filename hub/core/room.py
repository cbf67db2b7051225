"""What reservations leave for the others, and until when.

Slices of one profile are alike, so nothing is kept but a count: at the beginning of each window,
all slices less those promised to its members must be enough for the outsiders who may still hold
one then. A holder who belongs to the reservation's group takes one of its places.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.core.nouns import Lease, Stage, State
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
    outsiders: list[Lease] = field(default_factory=list)
    grace: timedelta = timedelta(0)

    @property
    def spare(self) -> int:
        """Slices that outsiders may still be given with an end after `closes`."""
        kept = sum(x.taken + (x.left if self.keeps(x) else 0) for x in self.places)
        return self.total - kept - len(self.outsiders)

    def keeps(self, place: _Place) -> bool:
        """Whether what its members did not take is kept from the others."""
        # in its hours what members did not take within the grace time goes back to all
        return not self.now or self.at < place.window.begins + self.grace

    def place_for(self, lease: Lease) -> _Place | None:
        """Where a member of a reserving group belongs; None for an outsider, or when it is full."""
        groups = {lease.request.group, *lease.request.member_of}
        own = [x for x in self.places if x.reservation.id == lease.reservation]
        return next(
            (x for x in own + self.places if x.left and (
                x in own or x.reservation.group in groups)), None,
        )

    def enter(self, lease: Lease) -> None:
        """Count a holder."""
        place = self.place_for(lease)
        if place is not None:
            place.taken += 1
        else:
            self.outsiders.append(lease)


class Rooms:
    """All rooms of the next hours. Changes while slices are given away: `taken`, `shortened`."""

    def __init__(self, state: State, now: datetime, seen: Survey | None = None) -> None:
        self._now = now
        self._house = state.house
        self._rooms: dict[str, list[Room]] = {}
        profiles = {x.profile for x in state.house.reservations.values()}
        if not profiles:
            return
        seen = seen or Survey(state)
        out = {
            x.slice for x in state.leases.values() if x.stage is Stage.QUARANTINED
        } | {k for k, s in state.slices.items() if not s.present or s.blocked}
        for profile in profiles:
            total = sum(k.profile == profile and k not in out for k in state.slices)
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
                end = lease.notice.leave_by if lease.notice else lease.until
                if active or end is None or end > closes:
                    room.enter(lease)
            yield room

    def admit(self, lease: Lease, *, instead: bool = False) -> tuple[datetime | None, str] | None:
        """(latest end or None, reservation id or "") for a new holder; None where there is no room.

        `instead`: in the place of an outsider who gives back.
        """
        until, reservation = None, ""
        for room in self._rooms.get(lease.request.profile, ()):
            place = room.place_for(lease)
            if place is not None:
                reservation = place.reservation.id if room.now else reservation
                continue
            if room.spare + (1 if instead and room.outsiders else 0) >= 1:
                continue
            if room.now:
                return None
            until = room.closes
            break
        if until is not None and until - self._now < self._house.rules.shortest:
            return None
        return until, reservation

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
        assert lease.slice is not None
        for room in self._rooms.get(lease.slice.profile, ()):
            if not room.now and until <= room.closes and lease in room.outsiders:
                room.outsiders.remove(lease)

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
