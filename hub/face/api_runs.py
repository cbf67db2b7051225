"""The REST routes of submitting, sweeps and reruns. See `api` for what a route is."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from hub.batch import Rerun
from hub.core.runs import Run, Submission
from hub.core.schedules import moment_of
from hub.core.sweeps import Sweep
from hub.errors import BadInput, NotAllowed
from hub.face import reasons, words
from hub.face.api import (
    ERRORS,
    HouseRoute,
    Id,
    Key,
    Language,
    Parts,
    Plain,
    RunId,
    Use,
    by,
    own_run,
)
from hub.face.api_report import own_sweep
from hub.face.caller import Caller
from hub.face.login import ApiCaller
from hub.face.views_runs import (
    RerunIn,
    RerunOut,
    SubmitIn,
    SweepIn,
    SweepLineOut,
    SweepOut,
    WhatIn,
    line_out,
    packed,
    sweep_out,
)

router = APIRouter(prefix="/api", route_class=HouseRoute, responses=ERRORS)
_MOST = 10_000  # runs in one answer


@router.post("/runs", status_code=201)
def submit(
    wanted: SubmitIn, caller: ApiCaller, use: Use, language: Language, once: Key
) -> Run:
    """Run a notebook: it stands in line for a slice like everybody, or is planned."""
    (made,) = use.batch.taking.once(once, lambda: [
        use.batch.submit(_timed(wanted, caller, use), once)
    ])
    return reasons.said(made, language)


@router.get("/runs", response_model=list[Run])
def runs(
    caller: ApiCaller, use: Use, language: Language,
    user: Annotated[Plain | None, Query(description="One person's; operators only.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    sweep: Annotated[Plain | None, Query(description="Those of one sweep.")] = None,
    schedule: Annotated[Plain | None, Query(description="Those of one schedule.")] = None,
) -> Response:
    """One's own runs, newest first; an operator's are everybody's."""
    if not caller.is_operator and user is not None and not caller.owns(user):
        raise NotAllowed("You can see your own runs only.")
    text = use.runs.json(
        caller, language, user=user if caller.is_operator else caller.name, limit=limit,
        sweep=sweep, schedule=schedule,
    )
    return Response(text, media_type=JSONResponse.media_type)


@router.post("/runs/{id}/rerun", status_code=201)
def rerun(
    id: RunId, changes: RerunIn, caller: ApiCaller, use: Use, language: Language, once: Key
) -> RerunOut:
    """Repeat a run from what was kept of it; says in what it will differ."""
    found, new = own_run(id, caller, use.batch), list[Rerun]()

    def make() -> list[Run]:
        new.append(use.batch.rerun(
            found.id, changes.parameters, profile=changes.profile, image=changes.image, once=once,
        ))
        return [new[0].run]

    (run,) = use.batch.taking.once(once, make)
    made = new[0] if new else use.batch.compared(found, run)
    return RerunOut(
        run=reasons.said(made.run, language),
        differs=[words.text(language, x) for x in made.differs],
    )


# ---- sweeps -------------------------------------------------------------------------------------


@router.post("/sweeps", status_code=201)
def submit_sweep(wanted: SweepIn, caller: ApiCaller, use: Use, once: Key) -> SweepOut:
    """Run a notebook with every combination of some values: all of them, or none."""
    made = use.batch.taking.once(once, lambda: use.batch.sweep(
        replace(_timed(wanted, caller, use), sweep=wanted.sweep), once
    ).runs)
    return sweep_out(Sweep(made[0].sweep, tuple(made)))


@router.get("/sweeps")
def sweeps(
    caller: ApiCaller, use: Use, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[SweepLineOut]:
    """One's own sweeps, newest first; an operator's are everybody's."""
    found = use.batch.sweeps(user=None if caller.is_operator else caller.name, limit=limit)
    return [line_out(x) for x in found if caller.sees(x.user)]


@router.get("/sweeps/{id}")
def sweep(id: Id, caller: ApiCaller, use: Use) -> SweepOut:
    """One sweep with its runs, their parameters and their figures."""
    return sweep_out(own_sweep(id, caller, use.batch))


@router.delete("/sweeps/{id}")
def cancel_sweep(id: Id, caller: ApiCaller, use: Use) -> SweepOut:
    """Cancel all of its runs that have not ended."""
    found = own_sweep(id, caller, use.batch)
    return sweep_out(use.batch.cancel_sweep(found.id, by(caller, found.runs[0].user)))


# ---- what is asked ------------------------------------------------------------------------------


def submission(wanted: WhatIn, caller: Caller, use: Parts) -> Submission:
    """What somebody wants run; the operator may want it for somebody else.

    Raises:
        NotAllowed, BadInput: whose it is to be; a snapshot that is none.
    """
    return Submission(
        user=for_whom(wanted.user, caller, (x.name for x in use.broker.members())),
        name=wanted.notebook_name, notebook=wanted.notebook, parameters=wanted.parameters,
        profile=wanted.profile, image=wanted.image, cwd=wanted.cwd, timeout=wanted.timeout,
        group=wanted.group, retries=wanted.retries, snapshot=packed(wanted.snapshot),
        secrets=tuple(wanted.secrets), notify=tuple(wanted.notify),
    )


def _timed(wanted: SubmitIn, caller: Caller, use: Parts) -> Submission:
    zone, now = use.broker.settings.timezone, use.batch.mover.clock()
    return replace(
        submission(wanted, caller, use), after=wanted.after,
        not_before=moment_of(wanted.at, zone, now) if wanted.at else None,
    )


def for_whom(user: str | None, caller: Caller, people: Iterable[str]) -> str:
    """Whose it is to be.

    Raises:
        NotAllowed: somebody else's, by who is no operator.
        BadInput: nobody's, or of somebody who is not in the roster.
    """
    known = set(people)
    if user and not caller.sees(user):
        raise NotAllowed("Only an operator can submit a run for somebody else.")
    if not user and caller.kind != "user":
        raise BadInput(
            "Say whose run this is: madang run submit --for NAME …", reason="bad-request"
        )
    if user and known and user not in known:
        raise BadInput(
            "There is nobody called {name} in the roster.", reason="bad-request", name=user
        )
    return user or caller.name
