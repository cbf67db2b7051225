"""The REST routes of reports, comparisons, and runs as pages. See `api` for what a route is."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response

from hub.batch import Batch
from hub.core.compare import CellChange, Comparison
from hub.core.figures import Figure, figures
from hub.core.pictures import Picture
from hub.core.report import Entry, Swept, took
from hub.core.runs import Run, RunStage
from hub.core.schedules import Outcome, Unrun
from hub.core.sweeps import Sweep
from hub.errors import BadInput, NotAllowed, NotFound
from hub.face import reasons, reported
from hub.face.api import ERRORS, HouseRoute, Language, Plain, RunId, Use, text_answer
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import ApiCaller
from hub.face.reported import SEALED
from hub.reports import Reports

router = APIRouter(prefix="/api", responses=ERRORS, route_class=HouseRoute)
Format = Annotated[Literal["json", "html"], Query()]
_OR_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
}


def _reports(request: Request) -> Reports:
    found: Reports = request.app.state.reports
    return found


ReportsHere = Annotated[Reports, Depends(_reports)]
FromWhen = Annotated[Plain, Query(max_length=64, description="12h, 7d, or a date, 2026-11-23.")]


class EntryOut(BaseModel):
    """A run that ended. `before` is the id of the run that its figures are compared with.

    `cell`: where it failed, counted from 1; `error` in a line, `lines` the last ones of it.
    """

    run: Run
    seconds: float | None
    before: str | None
    figures: list[Figure]
    cell: int | None
    error: str
    lines: list[str]


class UnrunOut(BaseModel):
    """A slot of a schedule that came to nothing; `message` says why."""

    schedule: str
    name: str
    user: str
    notebook: str
    slot: str
    outcome: Outcome
    message: str


class ReportOut(BaseModel):
    """What ended: what went wrong first. `counts` of what ended, `still` of what has not.

    `unrun`: slots of schedules that came to nothing.
    """

    since: datetime
    until: datetime
    runs: list[EntryOut]
    sweeps: list[Swept]
    counts: dict[RunStage, int]
    still: dict[RunStage, int]
    unrun: list[UnrunOut]


class DiffOut(BaseModel):
    """Two runs beside each other: parameters that differ, all figures, cells that differ."""

    before: Run
    after: Run
    seconds_before: float | None
    seconds_after: float | None
    parameters: list[Figure]
    figures: list[Figure]
    notebook: Comparison = Field(description="Pictures without their data.")


@router.get("/report", response_model=ReportOut, responses=_OR_PAGE)
@heavy
def report(
    caller: ApiCaller, reports: ReportsHere, language: Language,
    since: FromWhen = "24h", until: FromWhen = "",
    user: Annotated[Plain | None, Query(max_length=255, description="Operators only.")] = None,
    format: Format = "json",  # noqa: A002
) -> ReportOut | Response:
    """What ended since, and the figures beside those of the run before of the same notebook.

    One's own runs; an operator's are everybody's.
    """
    if user is not None and not caller.sees(user):
        raise NotAllowed("You can see your own runs only.")
    who = user if caller.is_operator else caller.name
    found = reports.report(who, since, until)
    if format == "html":
        if who is not None and not caller.sees(who):  # a service that is named like a person
            raise NotAllowed("You can see your own runs only.")
        html = reported.as_file(reports, found, who, language, reader=caller.name)
        return HTMLResponse(html, headers=SEALED | {"Content-Language": language})
    return ReportOut(
        since=found.since, until=found.until, counts=dict(found.counts), still=dict(found.still),
        sweeps=[x for x in found.sweeps if caller.sees(x.user)],
        unrun=[_unrun_out(x, language) for x in found.unrun if caller.sees(x.schedule.user)],
        runs=[
            _entry_out(x, reports, language) for x in found.entries if caller.sees(x.run.user)
        ],
    )


@router.get(
    "/runs/{id}/output", response_model=None, responses=text_answer("application/x-ipynb+json")
)
@heavy
def output(id: RunId, caller: ApiCaller, use: Use, reports: ReportsHere) -> Response:
    """The output notebook, as the run wrote it: a file to download."""
    found = own_run(id, caller, use.batch)
    return Response(
        reports.output(found), media_type="application/x-ipynb+json",
        headers=SEALED | {"Content-Disposition": _attached(found, "ipynb")},
    )


@router.get("/runs/{id}/export", response_model=None, responses=text_answer("text/html"))
@heavy
def export(id: RunId, caller: ApiCaller, use: Use, reports: ReportsHere) -> Response:
    """The output notebook as a page in which nothing runs and nothing is loaded."""
    found = own_run(id, caller, use.batch)
    return HTMLResponse(reports.page(found, caller.name), headers=SEALED)


@router.get("/runs/{id}/diff/{other}", response_model=DiffOut, responses=_OR_PAGE)
@heavy
def diff(
    id: RunId, other: RunId, caller: ApiCaller, use: Use, reports: ReportsHere,
    language: Language, format: Format = "json",  # noqa: A002
) -> DiffOut | Response:
    """What differs between a run and a later one: cells by their ids, figures, parameters."""
    before, after = (own_run(x, caller, use.batch) for x in (id, other))
    for one in (before, after):
        if not one.done:
            raise BadInput(
                "The run {id} has not ended yet.", reason="bad-request", id=one.id
            )
    found = reports.compare(before, after, caller.name)
    if format == "html":
        return _diff_page(before, after, found, use, language)
    return DiffOut(
        before=reasons.said(before, language), after=reasons.said(after, language),
        seconds_before=took(before), seconds_after=took(after),
        parameters=reported.differing(before, after),
        figures=figures(after.metrics, before.metrics), notebook=_without_data(found),
    )


def _diff_page(
    before: Run, after: Run, found: Comparison, use: Use, language: str
) -> Response:
    entry = Entry(after, before, tuple(figures(after.metrics, before.metrics)))
    html = reported.alone(
        "run.html", language, use.broker.settings.timezone, datetime.now(UTC),
        title=after.notebook, parameters=figures(after.parameters), kept=False,
        shown=reported.Shown(
            replace(entry, run=reasons.said(after, language)), comparison=found
        ),
    )
    return HTMLResponse(html, headers=SEALED | {"Content-Language": language})


def _entry_out(entry: Entry, reports: Reports, language: str) -> EntryOut:
    return EntryOut(
        run=reasons.said(entry.run, language), seconds=entry.seconds,
        before=entry.before.id if entry.before else None, figures=list(entry.figures),
        cell=entry.cell, error=entry.error,
        lines=list(reports.lines(entry)) if entry.failed else [],
    )


def _unrun_out(one: Unrun, language: str) -> UnrunOut:
    its, seen = one.schedule, one.seen
    return UnrunOut(
        schedule=its.id, name=its.name, user=its.user, notebook=its.notebook, slot=seen.slot,
        outcome=seen.outcome, message=reasons.told(seen.message, language),
    )


def _without_data(found: Comparison) -> Comparison:
    def bare(pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
        return tuple(replace(x, uri="") for x in pictures)

    def one(cell: CellChange) -> CellChange:
        return replace(cell, pictures=(bare(cell.pictures[0]), bare(cell.pictures[1])))

    return replace(found, cells=tuple(map(one, found.cells)))


def _attached(found: Run, ending: str) -> str:
    """The header that makes it a file, whatever its name is made of."""
    name = found.notebook.rpartition("/")[2].removesuffix(".ipynb")
    return f"attachment; filename*=UTF-8''{quote(f'{name}-{found.id}.{ending}', safe='')}"


# ---- may they -----------------------------------------------------------------------------------


def own_run(id: str, caller: Caller, batch: Batch) -> Run:
    """A run that the caller may see; another is as if it were not.

    Raises:
        NotFound: no such run, or not the caller's.
    """
    found = batch.get(id, user=None if caller.is_operator else caller.name)
    if not caller.sees(found.user):
        # a service may be named like a person
        raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
    return found


def own_sweep(id: str, caller: Caller, batch: Batch) -> Sweep:
    """The same for a sweep."""
    found = batch.get_sweep(id, user=None if caller.is_operator else caller.name)
    if not caller.sees(found.runs[0].user):
        raise NotFound("There is no sweep {id}. `madang run list` shows yours.", id=id)
    return found
