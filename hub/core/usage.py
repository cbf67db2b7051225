"""What was used in a span of time, out of the leases that held a slice in it."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.core.hours import zone_of
from hub.core.nouns import Lease
from hub.core.rules import House
from hub.core.share import charged_to
from hub.errors import BadInput

_HOUR = timedelta(hours=1)
_BACK = re.compile(r"(\d{1,4})([hdw])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = 40


@dataclass(frozen=True)
class UsageRow:
    """What one person used in a group's name, or (`user` None) several together.

    `idle_hours`: of the slice-hours those after the last sign of work, as far as the server told;
    None where none told. `leases`: how many held a slice in the span. The waits are of those
    granted in it for the first time: mean and 95th percentile (nearest rank), None where there were
    none.
    """

    group: str
    user: str | None
    slice_hours: float
    idle_hours: float | None
    leases: int
    wait_seconds_mean: float | None
    wait_seconds_p95: float | None


@dataclass
class _Sum:
    hours: float = 0.0
    idle: float | None = None
    leases: int = 0
    waits: list[float] = field(default_factory=list)


def usage_rows(
    leases: Iterable[Lease], house: House, begin: datetime, end: datetime,
    named: Callable[[str, str], str | None],
) -> tuple[UsageRow, ...]:
    """The rows by group and name, sums last in their group; all rows together are everything.

    Args:
        end: also where what goes on is cut; not later than now.
        named: (group, user) → the name of the row that it goes into.
    """
    found: dict[tuple[str, str | None], _Sum] = defaultdict(_Sum)
    for lease in leases:
        if lease.granted_at is None:
            continue
        group = charged_to(house, lease)
        total = found[group, named(group, lease.request.user)]
        over = lease.draining_at or end
        total.leases += 1
        total.hours += lease.rate * _overlap(lease.granted_at, over, begin, end)
        if lease.heard_at is not None and lease.active_at is not None:
            idle = _overlap(lease.active_at, min(lease.heard_at, over), begin, end)
            total.idle = (total.idle or 0.0) + lease.rate * idle
        if begin <= lease.granted_at < end and not lease.again:
            total.waits.append((lease.granted_at - lease.request.asked_at).total_seconds())
    return tuple(
        _row(group, user, x)
        for (group, user), x in sorted(
            found.items(), key=lambda x: (x[0][0], x[0][1] is None, x[0][1] or "")
        )
    )


def _overlap(a: datetime, b: datetime, begin: datetime, end: datetime) -> float:
    return max(timedelta(0), min(b, end) - max(a, begin)) / _HOUR


def _row(group: str, user: str | None, total: _Sum) -> UsageRow:
    waits = sorted(total.waits)
    return UsageRow(
        group, user, total.hours, total.idle, total.leases,
        sum(waits) / len(waits) if waits else None,
        waits[math.ceil(0.95 * len(waits)) - 1] if waits else None,
    )


def read_moment(text: str, zone: str, now: datetime) -> datetime:
    """A moment (UTC) as somebody typed it: 7d, 12h or 2w ago, a date, or a date with a time.

    One without a zone is local in `zone`.

    Raises:
        BadInput: anything else.
    """
    back = _BACK.fullmatch(text)
    if back:
        return now - int(back[1]) * _UNITS[back[2]]
    try:
        found = datetime.fromisoformat(text)
        return _aware(found, zone_of(zone)).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise BadInput(
            "{value} is no moment: write 7d, 12h or 2w ago, or a date like 2026-11-23.",
            reason="bad-request",
            value=repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"),
        ) from e


def _aware(found: datetime, zone: ZoneInfo) -> datetime:
    return found if found.tzinfo else found.replace(tzinfo=zone)
