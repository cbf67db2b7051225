"""The REST routes of reservations, groups and usage. See `api` for what a route is."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field, TypeAdapter

from hub.core.reserving import Wanted
from hub.errors import NotAllowed
from hub.face.api import ERRORS, HouseRoute, Id, Plain, Use, operators_only, text_answer, withheld
from hub.face.caller import Caller
from hub.face.login import ApiCaller, api_caller
from hub.face.views_desk import (
    GroupOut,
    MineOut,
    NameOut,
    ReservationOut,
    ReservationsOut,
    UsageOut,
    group_out,
    mine_out,
    reservation_out,
    usage_csv,
    usage_out,
    window_out,
)

router = APIRouter(prefix="/api", route_class=HouseRoute, responses={
    **ERRORS, 409: {**ERRORS[400], "description": "Others stand in the way."},
})
Name = Annotated[Plain, Field(max_length=64)]
Time = Annotated[Plain, Field(max_length=64)]
Setting = Annotated[Plain, Field(max_length=64)] | float | None
GroupName = Annotated[Plain, Path(min_length=1, max_length=64, description="A group's name.")]
Moment = Annotated[Plain, Query(max_length=64)]
_ROWS = TypeAdapter(list[UsageOut])


class ReserveIn(BaseModel, extra="forbid"):
    """What to reserve: hours of the week (days, start, end) or a span (begins, ends), local."""

    group: Name
    profile: Name
    count: int = Field(ge=-10**6, le=10**6)
    zone: Name = Field("", description="Like Asia/Seoul; the installation's when empty.")
    note: Annotated[Plain, Field(max_length=200)] = ""
    days: Annotated[list[Time], Field(max_length=50)] = Field(
        default_factory=list, description="mon, tue …, or 월, 화 …"
    )
    start: Time = Field("", description="10:00")
    end: Time = Field("", description="12:00; 00:00 is midnight at the day's end.")
    first: Time = Field("", description="First date, 2026-11-23; today when empty.")
    last: Time = Field("", description="Last date; without end when empty.")
    begins: Time = Field("", description="2026-12-01T09:00")
    ends: Time = Field("", description="2026-12-01T18:00")


class GroupIn(BaseModel, extra="forbid"):
    """What to change; what is left out stays. Null, "" or "none": no limit, no end."""

    weight: Setting = Field(None, description="Above 0, at most 1000.")
    quota: Setting = Field(
        None, description="The group's slice-hours a week, above 0: 40, 40h, none."
    )
    user_quota: Setting = Field(None, description="Each member's slice-hours a week, above 0.")
    ends: Annotated[Plain, Field(max_length=64)] | None = Field(
        None, description="The last day on which it may ask, not yet over: 2026-12-18."
    )


# ---- reservations -------------------------------------------------------------------------------


@router.get("/reservations")
def reservations(
    caller: ApiCaller, use: Use,
    weeks: Annotated[int, Query(ge=1, le=8, description="How many weeks of hours.")] = 2,
    begin: Annotated[Moment, Query(description="From when on; now when empty.")] = "",
) -> ReservationsOut:
    """What is reserved, and the hours of the next weeks."""
    return ReservationsOut(
        reservations=[reservation_out(x, w, caller) for x, w in use.desk.reservations()],
        windows=[window_out(x, w) for x, w in use.desk.hours(begin, weeks)],
    )


@router.post("/reservations", status_code=201)
def reserve(
    wanted: ReserveIn, caller: ApiCaller, use: Use, response: Response, *,
    dry_run: Annotated[bool, Query(description="Only check; nothing is reserved.")] = False,
) -> ReservationOut:
    """Promise slices to a group. Refused with what is in the way, and when it would fit."""
    _leaders_only(caller, wanted.group)
    if dry_run:
        response.status_code = 200
    made = use.desk.reserve(_wanted(wanted, use), caller.name, dry_run=dry_run)
    return reservation_out(made, use.desk.next_hours(made), caller)


@router.delete("/reservations/{id}")
def unreserve(id: Id, caller: ApiCaller, use: Use) -> ReservationOut:
    """Take a reservation back."""
    _leaders_only(caller, use.desk.reservation(id).group)
    made = use.desk.unreserve(id, caller.name)
    return reservation_out(made, use.desk.next_hours(made), caller)


def _wanted(given: ReserveIn, use: Use) -> Wanted:
    values: dict[str, Any] = given.model_dump() | {"days": tuple(given.days)}
    return Wanted(**values | {"zone": given.zone.strip() or use.broker.settings.timezone})


def _leaders_only(caller: Caller, group: str) -> None:
    if not caller.leads(group):
        raise withheld(caller) or NotAllowed(
            "Only an operator or an instructor of {group} may do this.", group=repr(group)
        )


# ---- groups -------------------------------------------------------------------------------------


@router.get("/groups")
def groups(caller: ApiCaller, use: Use) -> list[GroupOut]:
    """All groups, with what each has used of what is its share."""
    return [group_out(x, caller) for x in use.desk.groups()]


@router.put("/groups/{name}")
def set_group(
    name: GroupName, wanted: GroupIn, caller: ApiCaller, use: Use, *,
    create: Annotated[bool, Query(
        description="Make the group where neither the roster nor the settings know it."
    )] = False,
) -> GroupOut:
    """Change a group's settings, or make a group before the roster names it."""
    operators_only(caller)
    changes = wanted.model_dump(include=wanted.model_fields_set)
    return group_out(use.desk.set_group(name, changes, caller.name, create=create), caller)


@router.delete("/groups/{name}")
def remove_group(name: GroupName, caller: ApiCaller, use: Use) -> NameOut:
    """A group's settings go back to the defaults; who is in it, the roster says."""
    operators_only(caller)
    return NameOut(name=use.desk.remove_group(name, caller.name).name)


# ---- usage --------------------------------------------------------------------------------------


@router.get("/usage", response_model=list[UsageOut], responses=text_answer("text/csv"))
def usage(
    caller: ApiCaller, use: Use,
    by: Annotated[Literal["user", "group"], Query()] = "user",
    since: Annotated[Moment, Query(description="7d, 12h, 2w, or a date.")] = "7d",
    until: Annotated[Moment, Query(description="The same; now when empty.")] = "",
    as_what: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """What was used. One's own rows, an instructor's groups', or (operators) everybody's.

    Others in a group are one row without a name, so the rows always add up to the whole.
    """
    def named(group: str, user: str) -> str | None:
        known = caller.is_operator or caller.owns(user) or group in caller.instructs
        return user if by == "user" and known else None

    rows = [usage_out(x) for x in use.desk.usage(since, until, named)]
    if as_what == "csv":
        return PlainTextResponse(usage_csv(rows), media_type="text/csv", headers={
            "Content-Disposition": 'attachment; filename="usage.csv"'
        })
    return JSONResponse(_ROWS.dump_python(rows, mode="json"))


@router.get("/usage/mine", dependencies=[Depends(api_caller)])
def mine(caller: ApiCaller, use: Use) -> MineOut:
    """One's own use this week, against the quota and one's share."""
    return own_use(caller, use)


def own_use(caller: Caller, use: Use) -> MineOut:
    """What `/usage/mine` answers; for the live page too."""
    rules = use.broker.state().house.rules
    # a service may be named like a person
    name = caller.name if caller.owns(caller.name) else ""
    return mine_out(use.desk.own(name), rules, datetime.now(UTC))
