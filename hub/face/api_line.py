"""The REST routes of slices, the line and leases. See `api` for what a route is."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from hub.batch import Batch
from hub.broker import Broker
from hub.core.lease import Kind, Lease, Stage, State
from hub.errors import BadInput, NotAllowed, NotFound
from hub.face.api import ERRORS, HouseRoute, Id, Language, Plain, Use, operators_only
from hub.face.caller import Caller
from hub.face.login import ApiCaller
from hub.face.views_line import (
    LeaseOut,
    LineOut,
    Scene,
    SliceOut,
    lease_of,
    leases_of,
    line_of,
    slice_of,
    slices_of,
)

router = APIRouter(prefix="/api", responses=ERRORS, route_class=HouseRoute)
Reason = Annotated[Plain, Field(max_length=200)]


class SliceIn(BaseModel, extra="forbid"):
    """A slice, by its `key`."""

    slice: Annotated[Plain, Field(min_length=1, max_length=300)]


class BlockIn(SliceIn):
    """A slice to take out of use, and why."""

    reason: Annotated[Plain, Field(min_length=1, max_length=200)]


class ActivityIn(BaseModel):
    """What a server does: `busy` counts as work now; what else it tells is for people."""

    last_activity: AwareDatetime
    busy: bool = False
    kernels: int = Field(0, ge=0)
    terminals: int = Field(0, ge=0)


class ActivityOut(BaseModel):
    """What the server shows: see LeaseOut; `waiting` counts those who wait for the same size."""

    promised: datetime | None
    until: datetime | None
    leave_by: datetime | None
    notice: str | None
    waiting: int


def _scene(broker: Broker, state: State, shown: Iterable[Lease]) -> Scene:
    """The state with the places of those who are shown: a whole line is worked out at a time."""
    waiting = [x for x in shown if x.stage is Stage.WAITING and x.id in state.leases]
    places = {x.id: place for x in waiting if (place := broker.outlook.place(state, x.id))}
    return Scene(state, datetime.now(UTC), places)


def _shown(id: str, caller: Caller, broker: Broker, language: str) -> LeaseOut:
    state, found = broker.state(), broker.look(id).lease
    return lease_of(_scene(broker, state, (found,)), found, caller, language)


# ---- slices -------------------------------------------------------------------------------------


@router.get("/slices")
def slices(caller: ApiCaller, use: Use) -> list[SliceOut]:
    """All slices as last seen."""
    return slices_of(Scene(use.broker.state(), datetime.now(UTC)), caller)


@router.post("/slices/block")
def block(wanted: BlockIn, caller: ApiCaller, use: Use) -> SliceOut:
    """Take a slice out of use; whoever holds it keeps it, and nobody is given it after."""
    operators_only(caller)
    found = use.desk.block(wanted.slice, wanted.reason, caller.name)
    return slice_of(Scene(use.broker.state(), datetime.now(UTC)), found.key, caller)


@router.delete("/slices/block")
def unblock(wanted: SliceIn, caller: ApiCaller, use: Use) -> SliceOut:
    """Put a slice back into use."""
    operators_only(caller)
    found = use.desk.unblock(wanted.slice, caller.name)
    return slice_of(Scene(use.broker.state(), datetime.now(UTC)), found.key, caller)


# ---- the line and leases ------------------------------------------------------------------------


@router.get("/line")
def line(caller: ApiCaller, use: Use, language: Language) -> list[LineOut]:
    """All who wait, by size, in the order in which they would be served now."""
    state = use.broker.state()
    return line_of(_scene(use.broker, state, state.leases.values()), caller, language)


@router.get("/leases")
def leases(
    caller: ApiCaller, use: Use, language: Language, *,
    ended: Annotated[
        bool, Query(alias="all", description="Ended ones too, newest first.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[LeaseOut]:
    """One's own leases; an instructor's also those of their students, an operator's everybody's."""
    state = use.broker.state()
    found = _history(use.broker, caller, limit) if ended else list(state.leases.values())
    known = [x for x in found if caller.knows(x.request.user)]
    return leases_of(_scene(use.broker, state, known), known, caller, language)


@router.get("/leases/{id}")
def lease(id: Id, caller: ApiCaller, use: Use, language: Language) -> LeaseOut:
    """One lease."""
    _known_lease(id, caller, use.broker)
    return _shown(id, caller, use.broker, language)


@router.delete("/leases/{id}")
def end_lease(
    id: Id, caller: ApiCaller, use: Use, language: Language,
    reason: Annotated[Reason, Query(description=(
        "What its holder reads; cannot be left out where that is somebody else."
    ))] = "",
) -> LeaseOut:
    """End a lease, or leave the line. The slice is free when it was seen to be clean.

    A run is cancelled: it saves what it has, and its lease ends with it.
    """
    found = _known_lease(id, caller, use.broker)
    by, reason = _by(caller, found.request.user), reason.strip()
    if not reason and not caller.owns(found.request.user):
        raise BadInput(
            "Say why: {user} reads it. On the command line: madang lease end {id} --reason …",
            reason="no-reason", user=found.request.user, id=found.id,
        )
    if _runs_still(found, use.batch):
        use.batch.cancel(found.request.name, by, reason)
    else:
        use.broker.end(id, by, reason)
    return _shown(id, caller, use.broker, language)


@router.post("/leases/{id}/extend")
def extend(id: Id, caller: ApiCaller, use: Use, language: Language) -> LeaseOut:
    """Ask for more time: promised where nobody waits, and within the quota."""
    found = _known_lease(id, caller, use.broker)
    if not caller.sees(found.request.user):
        raise NotAllowed("Only its holder can ask for more time.")
    use.broker.extend(id)
    return _shown(id, caller, use.broker, language)


@router.post("/leases/{id}/activity")
def activity(id: Id, told: ActivityIn, caller: ApiCaller, use: Use) -> ActivityOut:
    """The server of this lease says when it was last at work; any token of its owner's will do."""
    found = _known_lease(id, caller, use.broker)
    if not caller.owns(found.request.user):
        raise NotAllowed("Only the server of this lease can tell what it does.")
    now = datetime.now(UTC)
    found = use.broker.report(id, now if told.busy else told.last_activity)
    notice = found.notice
    return ActivityOut(
        promised=found.promised, until=found.until, leave_by=notice.leave_by if notice else None,
        notice=notice.why if notice else None,
        waiting=sum(
            x.stage is Stage.WAITING and x.request.profile == found.request.profile
            for x in use.broker.state().leases.values()
        ),
    )


# ---- may they -----------------------------------------------------------------------------------


def _history(broker: Broker, caller: Caller, limit: int) -> list[Lease]:
    if caller.is_operator:
        return broker.history(limit=limit)
    people = {caller.name, *caller.teaches}
    found = [x for name in people for x in broker.history(limit=limit, user=name)]
    newest = sorted(found, key=lambda x: (x.request.asked_at, x.id), reverse=True)
    return [x for x in newest if caller.knows(x.request.user)][:limit]


def _known_lease(id: str, caller: Caller, broker: Broker) -> Lease:
    found = broker.look(id).lease
    if not caller.knows(found.request.user):
        # the same words as for one that was never made: ids of others are not confirmed
        raise NotFound("There is no lease {id}.", id=id)
    return found


def _runs_still(lease: Lease, batch: Batch) -> bool:
    """Whether a run that has not ended stands behind this lease: it is asked to save first."""
    if lease.request.kind is not Kind.RUN:
        return False
    try:
        run = batch.get(lease.request.name)
    except NotFound:
        return False
    return run.lease_id == lease.id and not run.done


def _by(caller: Caller, owner: str) -> str:
    """Who ended it, as its owner may read it: the operator stays unnamed."""
    return "the operator" if caller.is_operator and not caller.owns(owner) else caller.name
