"""On what terms somebody would be given a slice now; None where it may not be."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.core.hours import windows
from hub.core.nouns import Kind, Lease, Why
from hub.core.order import overdue
from hub.core.room import Rooms
from hub.core.rules import House, Rules
from hub.core.share import Standing

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Terms:
    """Latest end (None: no limit), promised until, the reservation it is given from ("": none)."""

    until: datetime | None
    promised: datetime
    reservation: str
    group: str  # whose share and quota it uses


def terms(
    lease: Lease, rate: float, rooms: Rooms, used: Standing, rules: Rules, now: datetime,
    *, instead_of: Lease | None = None,
) -> Terms | None:
    """The terms for a request, also in the place of a holder; None: no room, or no quota."""
    found = rooms.admit(lease, instead_of=instead_of)
    if found is None:
        return None
    until, reservation, class_ends = found
    group = rooms.group_of(reservation) or lease.request.group
    if not within_quota(lease, rate, used, rules, group):
        return None
    server = lease.request.kind is Kind.SERVER
    hold = rules.min_hold if server else rules.run_hold
    if not server and overdue(lease, rules, now):
        # what has waited for so long is let finish, or it would be begun anew for ever
        hold = rules.max_hold
    elif too_long(lease, until, now):
        return None
    promised = now + hold
    if server:
        # a member is promised the whole of its reserved hours
        promised = promised if class_ends is None else max(promised, class_ends)
        longest = now + rules.max_hold
        until = longest if until is None else min(until, longest)
    return Terms(until, promised if until is None else min(promised, until), reservation, group)


def too_long(lease: Lease, until: datetime | None, now: datetime) -> bool:
    """Whether a run would not be done by then, going by what it took before."""
    needs = lease.request.needs
    return until is not None and needs is not None and now + needs > until


def within_quota(
    lease: Lease, rate: float, used: Standing, rules: Rules, group: str = ""
) -> bool:
    """Whether the week's quotas allow what would be promised at least."""
    hold = rules.min_hold if lease.request.kind is Kind.SERVER else rules.run_hold
    group = group or lease.request.group
    return used.left(group, lease.request.user) >= rate * (hold / _HOUR)


def bound(house: House, lease: Lease) -> Why:
    """Which rule set a lease's latest end: the longest hold, where no reservation begins then.

    The longest hold may have been another one when the slice was given.
    """
    rules, until = house.rules, lease.until
    assert until is not None
    assert lease.granted_at is not None
    if lease.request.kind is Kind.RUN:
        return Why.RESERVED
    if until >= lease.granted_at + rules.max_hold:
        return Why.LIMIT
    soon = until + rules.margin + timedelta.resolution
    reserved = any(
        x.profile == lease.request.profile and x.id != lease.reservation
        and windows(x, until, soon) for x in house.reservations.values()
    )
    return Why.RESERVED if reserved else Why.LIMIT
