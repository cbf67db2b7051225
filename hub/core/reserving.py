"""A reservation out of what somebody wants, checked against everything that is promised already."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.core.hours import next_window, windows
from hub.core.mig import SliceKey
from hub.core.nouns import Lease, Stage, State
from hub.core.rules import House, Reservation
from hub.core.sizes import check_profile
from hub.core.timetable import check, parse_when
from hub.core.when import refused
from hub.errors import BadInput, Text


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to reserve, as typed: hours of the week, or one beginning and one end.

    Times are local in `zone`; see `hub.core.when.parse_when`.
    """

    group: str
    profile: str
    count: int
    zone: str
    note: str = ""
    days: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    first: str = ""
    last: str = ""
    begins: str = ""
    ends: str = ""


def reservation_of(
    state: State, wanted: Wanted, groups: Collection[str], *, id: str, by: str, now: datetime
) -> Reservation:
    """The reservation, if it can be kept.

    Raises:
        BadInput: nobody is in the group; the times cannot be; there are no such slices; or, with
            reason "reservation-conflict" and status 409, others stand in the way.
        Unavailable: no card has been seen yet.
    """
    if wanted.group not in groups:
        raise BadInput(
            "There is no group {group}. The groups here: {groups}.", reason="group",
            group=repr(wanted.group[:64]), groups=", ".join(sorted(groups)) or "-",
        )
    when = parse_when(
        days=wanted.days, start=wanted.start, end=wanted.end, first=wanted.first, last=wanted.last,
        begins=wanted.begins, ends=wanted.ends, zone=wanted.zone, now=now,
    )
    made = Reservation(
        id, wanted.group, wanted.profile, wanted.count, when, wanted.zone.strip(), by, now,
        wanted.note.strip(),
    )
    totals = Counter(x.profile for x in _in_use(state))
    if not totals:
        check_profile(state, wanted.profile)
    _check_out(state, made, totals[made.profile])
    house = state.house
    check(made, house.reservations.values(), totals, busy(state, made, now), now, house.rules)
    return made


def previewed(refusal: BadInput) -> BadInput:
    """The same where somebody only asked: that nothing was reserved goes without saying."""
    problems = refusal.values.get("problems")
    if not isinstance(problems, Text):
        return refusal
    return BadInput(
        problems.template, reason=refusal.reason, status=refusal.status,
        **problems.values,  # type: ignore[arg-type]
    )


def _check_out(state: State, made: Reservation, total: int) -> None:
    """Refuse with those that are out of use, where the wish fails for want of them."""
    here = sum(s.present for k, s in state.slices.items() if k.profile == made.profile)
    if total < made.count and total < here:
        raise refused([Text(
            "{count} slices of {profile} cannot be reserved: there are {here}, of which {out} out "
            "of use.", count=made.count, profile=made.profile, here=here, out=here - total,
        )])


def busy(state: State, made: Reservation, now: datetime) -> list[datetime]:
    """For each slice of the profile that an outsider holds, when it can be had back at the soonest.

    Not before what was promised, nor without the usual countdown.
    """
    here = _in_use(state)
    return [
        _back(state.house, lease, now) for key, lease in state.held().items()
        if key.profile == made.profile and key in here and _outside(state.house, lease, made, now)
    ]


def _back(house: House, lease: Lease, now: datetime) -> datetime:
    soon = now + house.rules.notice
    return max(lease.promised or soon, soon)


def _in_use(state: State) -> set[SliceKey]:
    """The slices that can be promised: there, not blocked and not quarantined."""
    out = {x.slice for x in state.leases.values() if x.stage is Stage.QUARANTINED}
    return {k for k, s in state.slices.items() if s.present and not s.blocked and k not in out}


def _outside(house: House, lease: Lease, made: Reservation, now: datetime) -> bool:
    if made.group in (lease.request.group, *lease.request.member_of):
        return False
    if lease.stage is Stage.DRAINING:
        return False
    other = house.reservations.get(lease.reservation)
    window = next_window(other, now) if other else None
    if window is None or window.begins > now:
        return True
    # counted with its own reservation as long as that lasts: what comes after meets the holder
    back = _back(house, lease, now)
    return any(
        x.begins >= window.ends or back > window.ends
        for x in windows(made, window.ends, back + house.rules.margin)
    )


def without_old(house: House, now: datetime, keep: timedelta) -> dict[str, Reservation]:
    """The reservations without those whose last hours were over `keep` ago."""
    return {k: x for k, x in house.reservations.items() if next_window(x, now - keep) is not None}
