"""Reservations, groups and usage as the service answers them.

Everybody may see what is reserved and what each group has used; people only who may know them.
"""

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from hub.core.groups import GroupFacts, OwnFacts
from hub.core.rules import Reservation, Rules, Span, Window
from hub.core.share import week
from hub.core.usage import UsageRow
from hub.face.caller import Caller

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute


class HoursOut(BaseModel):
    """One occurrence of a reservation; the end is outside."""

    begins: datetime
    ends: datetime


class ReservationOut(BaseModel):
    """Slices promised to a group: `kind` weekly (days … last) or span (begins, ends).

    Local times in `zone`; `next` are the hours that are on or come next.
    """

    id: str
    group: str
    profile: str
    count: int
    zone: str
    note: str
    made_by: str | None = Field(description="Operators, and instructors of the group, only.")
    kind: str
    days: list[str] | None = None
    start: str | None = None
    end: str | None = None
    first: date | None = None
    last: date | None = None
    begins: str | None = None
    ends: str | None = None
    next: HoursOut | None


class WindowOut(HoursOut):
    """Reserved hours, as a calendar draws them; `id` is the reservation's."""

    id: str
    group: str
    profile: str
    count: int
    title: str


class ReservationsOut(BaseModel):
    """What is reserved: `reservations` that are not over, `windows` of the weeks asked for."""

    reservations: list[ReservationOut]
    windows: list[WindowOut]


class GroupOut(BaseModel):
    """A group. Quotas in slice-hours a week, null for no limit; `share` and `use` of the whole."""

    name: str
    weight: float
    quota: float | None
    user_quota: float | None
    ends: date | None
    members: int
    instructors: int
    instructor_names: list[str] | None = Field(description="Operators only.")
    share: float = Field(description="Its part by weight, 0 to 1.")
    use: float = Field(description="Its part of all that was used, old use counting less, 0 to 1.")
    week_used: float


class NameOut(BaseModel):
    """Whose settings are gone."""

    name: str


class UsageOut(BaseModel):
    """What was used in a span: by one person in a group's name; `user` null: by the others in it.

    Hours are slice-hours. `idle_hours`: those of them after the last sign of work, as far as
    servers told. `leases` held a slice in the span; the waits are of those granted in it.
    """

    group: str
    user: str | None
    slice_hours: float
    idle_hours: float | None
    leases: int
    wait_seconds_mean: float | None
    wait_seconds_p95: float | None


class OwnOut(BaseModel):
    """One's own use in a group's name, in slice-hours this week; and the group's share and use."""

    group: str
    used: float
    quota: float | None = Field(description="One person's, in a week; null for no limit.")
    left: float | None = Field(description="What quotas still allow this week; null: no limit.")
    share: float = Field(description="The group's part by weight, 0 to 1.")
    use: float = Field(description="The group's part of all that was used, 0 to 1.")


class MineOut(OwnOut):
    """One's own use, in the first of one's groups; `groups` has each."""

    week_begins: datetime
    week_ends: datetime
    groups: list[OwnOut]


def reservation_out(made: Reservation, next_hours: Window | None, caller: Caller) -> ReservationOut:
    """The JSON of one reservation."""
    when = made.when
    times: dict[str, Any]
    if isinstance(when, Span):
        times = {
            "kind": "span", "begins": f"{when.begins:%Y-%m-%dT%H:%M}",
            "ends": f"{when.ends:%Y-%m-%dT%H:%M}",
        }
    else:
        times = {
            "kind": "weekly", "days": [_DAYS[x] for x in when.days],
            "start": f"{when.start:%H:%M}", "end": f"{when.end:%H:%M}", "first": when.first,
            "last": when.last,
        }
    return ReservationOut(
        id=made.id, group=made.group, profile=made.profile, count=made.count, zone=made.zone,
        note=made.note, made_by=made.made_by if caller.leads(made.group) else None,
        next=HoursOut(begins=next_hours.begins, ends=next_hours.ends) if next_hours else None,
        **times,
    )


def window_out(made: Reservation, window: Window) -> WindowOut:
    """The JSON of one occurrence."""
    return WindowOut(
        id=made.id, group=made.group, profile=made.profile, count=made.count,
        title=made.note or made.group, begins=window.begins, ends=window.ends,
    )


def group_out(facts: GroupFacts, caller: Caller) -> GroupOut:
    """The JSON of one group."""
    group = facts.group
    return GroupOut(
        name=group.name, weight=group.weight, quota=group.quota, user_quota=group.user_quota,
        ends=group.ends, members=facts.members, instructors=len(facts.instructors),
        instructor_names=list(facts.instructors) if caller.is_operator else None,
        share=round(facts.share, 4), use=round(facts.use, 4), week_used=round(facts.week_used, 2),
    )


def usage_out(row: UsageRow) -> UsageOut:
    """The JSON of one row."""
    return UsageOut(
        group=row.group, user=row.user, slice_hours=round(row.slice_hours, 3),
        idle_hours=_round(row.idle_hours, 3), leases=row.leases,
        wait_seconds_mean=_round(row.wait_seconds_mean, 1),
        wait_seconds_p95=_round(row.wait_seconds_p95, 1),
    )


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def usage_csv(rows: Iterable[UsageOut]) -> str:
    """The rows as CSV with a header; nothing in it is computed by a spreadsheet.

    It begins with a byte order mark: without one a Korean Excel reads names as CP949.
    """
    text = io.StringIO("\ufeff")
    text.seek(1)
    writer = csv.writer(text)
    writer.writerow(UsageOut.model_fields)
    for row in rows:
        writer.writerow(_cell(getattr(row, x)) for x in UsageOut.model_fields)
    return text.getvalue()


def _cell(value: object) -> object:
    # whoever chose a name like =1+1 must not have it run by the secretary's spreadsheet
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def mine_out(own: Iterable[OwnFacts], rules: Rules, now: datetime) -> MineOut:
    """The JSON of one's own use; `own` is never empty."""
    groups = [
        OwnOut(
            group=x.group, used=round(x.used, 2), quota=x.quota, left=_round(x.left, 2),
            share=round(x.share, 4), use=round(x.use, 4),
        ) for x in own
    ]
    begins, ends = week(now, rules)
    return MineOut(**groups[0].model_dump(), week_begins=begins, week_ends=ends, groups=groups)
