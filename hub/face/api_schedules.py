"""The REST routes of schedules. See `api` for what a route is."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter

from hub.core.runs import Run
from hub.core.schedules import Plan, Schedule
from hub.core.sweeps import Sweep
from hub.errors import NotFound
from hub.face import reasons
from hub.face.api import ERRORS, HouseRoute, Id, Key, Language, Parts, Use
from hub.face.api_runs import submission
from hub.face.caller import Caller
from hub.face.login import ApiCaller
from hub.face.views_runs import (
    RunNowIn,
    ScheduleChangeIn,
    ScheduleIn,
    ScheduleOut,
    ScheduleWholeOut,
    SweepOut,
    WhenIn,
    packed,
    schedule_out,
    sweep_out,
)

router = APIRouter(prefix="/api", route_class=HouseRoute, responses={
    **ERRORS, 409: {**ERRORS[409], "description": "One of this name, or it stands in a file."},
})
_TUPLES = {"notify", "secrets"}


@router.get("/schedules")
def schedules(caller: ApiCaller, use: Use, language: Language) -> list[ScheduleOut]:
    """One's own schedules by name; an operator's are everybody's."""
    found = use.schedules.list(user=None if caller.is_operator else caller.name)
    return [_shown(x, use, language, past=1) for x in found if caller.sees(x.user)]


@router.post("/schedules", status_code=201)
def add(wanted: ScheduleIn, caller: ApiCaller, use: Use, language: Language) -> ScheduleOut:
    """Keep a notebook, and when it is to run."""
    asked = replace(submission(wanted, caller, use), sweep=wanted.sweep)
    plan = Plan(**wanted.model_dump(include=set(WhenIn.model_fields)))
    return _shown(use.schedules.add(asked, plan), use, language, past=0)


@router.get("/schedules/{id}")
def schedule(id: Id, caller: ApiCaller, use: Use, language: Language) -> ScheduleWholeOut:
    """One schedule, with what became of its last slots."""
    return _shown(_own(id, caller, use), use, language, past=20)


@router.patch("/schedules/{id}")
def change(
    id: Id, wanted: ScheduleChangeIn, caller: ApiCaller, use: Use, language: Language
) -> ScheduleOut:
    """Change, pause or resume it. Slots that came while it was paused are not run."""
    _own(id, caller, use)
    when, what = _changes(wanted)
    return _shown(use.schedules.change(id, when, what), use, language, past=1)


@router.delete("/schedules/{id}")
def remove(id: Id, caller: ApiCaller, use: Use, language: Language) -> ScheduleOut:
    """Forget it. Its runs stay."""
    found = _shown(_own(id, caller, use), use, language, past=1)
    use.schedules.remove(id)
    return found


@router.post("/schedules/{id}/run", status_code=201)
def run_now(
    id: Id, caller: ApiCaller, use: Use, language: Language, once: Key,
    wanted: RunNowIn | None = None,
) -> Run | SweepOut:
    """Run it once now, beside its slots; with `parameters` in place of its own this time."""
    _own(id, caller, use)
    given = wanted.parameters if wanted else {}
    made = use.batch.taking.once(once, lambda: use.schedules.run_now(id, given, once))
    if made[0].sweep:
        return sweep_out(Sweep(made[0].sweep, tuple(made)))
    return reasons.said(made[0], language)


def _shown(found: Schedule, use: Parts, language: str, *, past: int) -> ScheduleWholeOut:
    seen = use.schedules.occurrences(found.id, limit=past) if past else []
    return schedule_out(found, use.schedules.upcoming(found), seen, language)


def _changes(wanted: ScheduleChangeIn) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of the plan is to be otherwise, and what of the submission, in core's words."""
    given = {
        k: tuple(x) if k in _TUPLES else packed(x) if k == "snapshot" else x
        for k, x in wanted.model_dump(exclude_none=True).items()
    }
    when = {k: given.pop(k) for k in WhenIn.model_fields if k in given}
    if "notebook_name" in given:
        given["name"] = given.pop("notebook_name")
    return when, given


def _own(id: str, caller: Caller, use: Parts) -> Schedule:
    found = use.schedules.get(id, user=None if caller.is_operator else caller.name)
    if not caller.sees(found.user):
        # a service may be named like a person
        raise NotFound("There is no schedule {id}. `madang schedule list` shows yours.", id=id)
    return found
