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
        self._fitting: dict[Hashable, list[_Place]] = {}

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
        mine = (lease.reservation, request.group, request.member_of)
        fitting = self._fitting.get(mine)
        if fitting is None:
            fitting = self._fitting[mine] = self._fits(*mine)
        return next((x for x in fitting if x.left), None) if fitting else None

    def _fits(self, id: str, group: str, member_of: tuple[str, ...]) -> list[_Place]:
        """The places for such a member, the best first."""
        return [
            *(x for x in self.places if x.reservation.id == id),
            *(x for x in self.places if x.reservation.group == group),
            *(x for x in self.places if x.reservation.group in member_of),
        ]

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
        self._groups: dict[str, frozenset[str]] = {}
        # what was found for some like these, as long as nobody has come or gone
        self._admitted: dict[Hashable, Admitted | None] = {}
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
            rooms = list(self._build(profile, totals[profile]))
            self._rooms[profile] = rooms
            self._groups[profile] = frozenset().union(*(x.groups for x in rooms))
            self._fill(rooms, seen.held.get(profile, []))

    def _build(self, profile: str, total: int) -> Iterator[Room]:
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
            yield Room(at, closes, active, total, places, grace=rules.grace)

    def _fill(self, rooms: list[Room], held: list[Lease]) -> None:
        """With those that hold, in their order."""
        if not rooms:
            return
        groups = self._groups[held[0].request.profile] if held else frozenset[str]()
        # `member`, written out: this goes over all that are held, at each turn
        members = {
            x.request.id for x in held
            if x.reservation or x.request.group in groups
            or not groups.isdisjoint(x.request.member_of)
        }
        for room in rooms:
            now, closes, outsiders = room.now, room.closes, room.outsiders
            for lease in held:
                # a notice may be taken back; only the latest end is certain
                if now or lease.until is None or lease.until > closes:
                    if lease.request.id in members:
                        room.enter(lease)
                    else:
                        outsiders[lease.request.id] = lease

    def member(self, lease: Lease) -> Hashable:
        """Who is in the same may have the same seats, now and later; None: an outsider."""
        request = lease.request
        groups = self._groups.get(request.profile)
        if groups is None or (
            not lease.reservation and request.group not in groups
            and groups.isdisjoint(request.member_of)
        ):
            return None
        return (lease.reservation, request.group, request.member_of)

    def has(self, profile: str, *, on: bool = False) -> bool:
        """Whether anything of this size is reserved in the next hours, or just now (`on`)."""
        return any(x.now or not on for x in self._rooms.get(profile, ()))

    def open_until(self, profile: str) -> datetime | None:
        """Until when at least anybody may be given any slice of this size; None: for ever.

        The present, where somebody may not.
        """
        rooms = self._rooms.get(profile)
        if not rooms:
            return None
        first = min(self._now if x.now else x.closes for x in rooms)
        return first if first - self._now >= self._house.rules.shortest else self._now

    def counts(self, profile: str) -> list[tuple[int, ...]]:
        """What decides who is admitted, but for who it is: how many are where."""
        return [
            (len(x.outsiders), *[place.taken for place in x.places])
            for x in self._rooms.get(profile, ())
        ]

    def admit(self, lease: Lease, *, instead_of: Lease | None = None) -> Admitted | None:
        """(latest end or None, reservation id or "", end of its hours) for a new holder.

        None where there is no room. `instead_of`: in the place of this holder, who gives back.
        """
        profile = lease.request.profile
        rooms = self._rooms.get(profile)
        if not rooms or instead_of is None:
            return self._admit(lease, rooms or ())
        alike = (profile, self.member(lease), self.place(instead_of))
        if alike in self._admitted:
            return self._admitted[alike]
        before = self.counts(profile)
        left = [x for x in rooms if x.leave(instead_of)]
        found = self._admit(lease, rooms)
        for room in left:
            room.enter(instead_of)
        if self.counts(profile) == before:
            self._admitted[alike] = found
        else:
            self._admitted.clear()  # it has another seat now
        return found

    def could(self, lease: Lease) -> bool:
        """Whether it may have a slice now, or in the place of anybody who gives back."""
        if self.admit(lease) is not None:
            return True
        alike = {self.kind_of(x): x for x in self._held.get(lease.request.profile, ())}
        return any(self.admit(lease, instead_of=x) is not None for x in alike.values())

    def place(self, holder: Lease) -> Hashable:
        """Two holders of one size in the same place are alike in all that is asked here."""
        return self.kind_of(holder), self.member(holder)

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
        self._admitted.clear()
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
        self._admitted.clear()
        for room in self._rooms.get(lease.request.profile, ()):
            if room.now or until is None or until > room.closes:
                room.enter(lease)

    def shortened(self, lease: Lease, until: datetime) -> None:
        """A holder's end came earlier."""
        self._admitted.clear()
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
