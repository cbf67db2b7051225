"""What somebody may ask for: a slice in a group's name, and more time on it."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from hub.core.nouns import Kind, Lease, Request, Stage, State, Why
from hub.core.room import Rooms
from hub.core.rules import House
from hub.core.share import Standing, charged_to, group_of, standing, week
from hub.core.terms import bound, within_quota
from hub.errors import BadInput, NotFound, Refusal


def check_request(state: State, request: Request, now: datetime) -> None:
    """Refuse a request in the name of a group that the person may not use, or has used up.

    Raises:
        BadInput: not a member of the group, or it has ended.
        Refusal: the week's quota is used up (servers only; a run waits for the next week).
    """
    group = request.group
    if group not in (*request.member_of, ""):
        raise BadInput(
            "You are not in the group {group}. Your groups: {groups}.", reason="group",
            group=group, groups=", ".join(request.member_of) or "-",
        )
    ends = group_of(state.house, group).ends
    if ends is not None and group not in open_groups(state, (group,), now):
        raise BadInput(
            "The group {group} ended on {day}. Ask in another group's name, or ask the operator.",
            reason="group-ended", group=group, day=ends.isoformat(),
        )
    # in reserved hours the reserving group's quota counts, so only a server outside them is refused
    asks = Lease(request)
    if request.kind is Kind.SERVER and not Rooms(state, now).in_own_hours(asks):
        _check_quota(state, request, now)


def open_groups(state: State, groups: Iterable[str], now: datetime) -> tuple[str, ...]:
    """Those of a person's groups in whose name may be asked: they have not ended."""
    today = now.astimezone(ZoneInfo(state.house.rules.zone)).date()
    ends = {x: group_of(state.house, x).ends for x in groups}
    return tuple(x for x, last in ends.items() if last is None or last >= today)


def default_group(state: State, groups: tuple[str, ...], now: datetime) -> str:
    """In whose name somebody asks who names no group: the first, of those that have not ended."""
    return next(iter((*open_groups(state, groups, now), *groups)), "")


def _check_quota(state: State, request: Request, now: datetime) -> None:
    rules = state.house.rules
    rate = next(
        (s.rate for k, s in state.slices.items() if k.profile == request.profile), 1.0
    )
    left = standing(state, now).left(request.group, request.user)
    if left < rate * (rules.min_hold.total_seconds() / 3600):
        raise Refusal(
            "The quota of this week is used up ({left} slice-hours are left, {need} are needed). A "
            "new week begins {when}.", reason="quota", status=409, left=f"{max(0.0, left):.2f}",
            need=f"{rate * rules.min_hold.total_seconds() / 3600:.2f}",
            when=week(now, rules)[1].astimezone(ZoneInfo(rules.zone)).strftime("%Y-%m-%d %H:%M %Z"),
        )


def extension(
    state: State, id: str, now: datetime, used: Standing | None = None
) -> datetime:
    """Until when the holder of a lease may be promised its slice if it asks for more.

    Another `min_hold` from now, at most up to the latest end. `used`: `standing(state, now)`, where
    the caller has it already.

    Raises:
        NotFound: no such lease.
        Refusal: it holds nothing now; somebody waits for this size; its latest end or the week's
            quota allows no more.
    """
    lease = state.leases.get(id)
    if lease is None:
        raise NotFound("There is no open lease {id}.", id=id)
    rules = state.house.rules
    if not lease.live or lease.slice is None:
        raise Refusal("This lease holds no slice now.", reason="not-held", status=409)
    before = max(lease.promised or now, now)
    wanted = now + rules.min_hold
    promised = wanted if lease.until is None else min(wanted, lease.until)
    if promised <= before:
        raise _no_more(lease, state.house)
    used = used or standing(state, now)
    if _wanted(state, lease, used, now):
        raise Refusal(
            "Somebody waits for a slice of this size, so it cannot be promised any longer.",
            reason="somebody-waits", status=409,
        )
    more = lease.rate * ((promised - before).total_seconds() / 3600)
    if used.left(charged_to(state.house, lease), lease.request.user) < more:
        raise Refusal(
            "The quota of this week does not allow more time.", reason="quota", status=409
        )
    return promised


def _wanted(state: State, lease: Lease, used: Standing, now: datetime) -> bool:
    """Whether somebody waits who could have this lease's slice."""
    line = [
        x for x in state.leases.values()
        if x.stage is Stage.WAITING and x.request.profile == lease.request.profile
    ]
    rooms = Rooms(state, now) if line else None
    return rooms is not None and any(
        within_quota(x, lease.rate, used, state.house.rules)
        and rooms.admit(x, instead_of=lease) is not None for x in line
    )


def can_extend(
    state: State, lease: Lease, now: datetime, used: Standing | None = None
) -> bool:
    """Whether `extension` would promise more."""
    try:
        extension(state, lease.id, now, used)
    except Refusal:
        return False
    return True


def _no_more(lease: Lease, house: House) -> Refusal:
    if lease.until is None or lease.promised is None or lease.promised < lease.until:
        return Refusal(
            "You have been promised this much already; ask again when less is left.",
            reason="at-limit", status=409,
        )
    when = lease.until.astimezone(ZoneInfo(house.rules.zone)).strftime("%H:%M %Z")
    reserved = lease.notice is not None and lease.notice.why is Why.RESERVED
    if reserved or bound(house, lease) is Why.RESERVED:
        return Refusal(
            "The slice is yours until {when}: after that it is reserved.", reason="reserved",
            status=409, when=when,
        )
    return Refusal(
        "The slice is yours until {when}: nobody may hold one any longer. Give it back, and ask "
        "for another.", reason="at-limit", status=409, when=when,
    )
