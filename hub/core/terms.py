"""On what terms somebody would be given a slice now; None where it may not be."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.core.nouns import Kind, Lease
from hub.core.order import overdue
from hub.core.room import Rooms
from hub.core.rules import Rules
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
    promised = now + hold
    if server:
        # a member is promised the whole of its reserved hours
        promised = promised if class_ends is None else max(promised, class_ends)
        longest = now + rules.max_hold
        until = longest if until is None else min(until, longest)
    return Terms(until, promised if until is None else min(promised, until), reservation, group)


def within_quota(
    lease: Lease, rate: float, used: Standing, rules: Rules, group: str = ""
) -> bool:
    """Whether the week's quotas allow what would be promised at least."""
    hold = rules.min_hold if lease.request.kind is Kind.SERVER else rules.run_hold
    group = group or lease.request.group
    return used.left(group, lease.request.user) >= rate * (hold / _HOUR)
