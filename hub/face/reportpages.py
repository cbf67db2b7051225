"""The pages of the morning after: the report, one run, one sweep.

Nothing that a notebook wrote runs in them: texts are escaped, pictures are looked at (`pictures`),
and the policy lets in our own script only. What nbconvert makes of a notebook is not part of them:
it is a page of its own, sealed (`api_report.export`).
"""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from hub.core.figures import columns, figures, flat
from hub.core.report import took
from hub.core.runs import Run
from hub.errors import NotAllowed
from hub.face import pages, reported, sweepplot, words
from hub.face.api import Plain, RunId, Use
from hub.face.api_report import FromWhen, ReportsHere, own_run, own_sweep
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import PageVisitor

router = APIRouter(include_in_schema=False)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CHOICES = ("12h", "24h", "7d")
SweepId = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Name = Annotated[Plain, Query(max_length=200)]


@router.get("/report")
@heavy
def report(
    request: Request, visitor: PageVisitor, use: Use, reports: ReportsHere,
    since: FromWhen = "24h",
    user: Annotated[Plain | None, Query(max_length=255)] = None,
) -> Response:
    """What ran since: one's own, or, for operators, anybody's or everybody's (`user` "*")."""
    who = _whose(visitor, user)
    language = pages.language_of(request)
    found = reports.report(who, since)
    title = words.say(language, "Morning report")
    return _page("report.html", request, visitor, title, use, {
        "report": found, "since": since, "user": who,
        "runs": reported.all_shown(
            reports, found, language, visitor.name, whole=who is not None
        ),
        "choices": _choices(request, visitor, since, user),
    })


@router.get("/runs/{id}")
@heavy
def run(
    id: RunId, request: Request, visitor: PageVisitor, use: Use, reports: ReportsHere
) -> Response:
    """One run, beside the one before it."""
    found = own_run(id, visitor, use.batch)
    language = pages.language_of(request)
    entry = reports.entry(found)
    return _page("run.html", request, visitor, found.notebook, use, {
        "shown": reported.shown(
            reports, entry, language, visitor.name, whole=found.done and reports.kept(found)
        ),
        "parameters": figures(found.parameters), "kept": reports.kept(found),
    })


@router.get("/sweeps/{id}")
def sweep(
    id: SweepId, request: Request, visitor: PageVisitor, use: Use,
    figure: Name = "", parameter: Name = "",
) -> Response:
    """A sweep's points: parameters beside figures."""
    found = own_sweep(id, visitor, use.batch)
    title = found.runs[0].notebook
    return _page("sweep.html", request, visitor, title, use, {
        "sweep": found, "columns": columns(flat(x.metrics) for x in found.runs)[:40],
        "rows": [_row(x) for x in found.runs],
        "drawn": sweepplot.drawn(found, figure, parameter),
    })


def _row(found: Run) -> dict[str, Any]:
    return {
        "run": found, "parameters": flat(found.parameters), "figures": flat(found.metrics),
        "seconds": took(found),
    }


def _page(
    template: str, request: Request, visitor: Caller, title: str, use: Use,
    values: dict[str, Any],
) -> Response:
    page = pages.page_of(
        request, title, name=visitor.name, is_operator=visitor.is_operator,
        zone=use.broker.settings.timezone,
    )
    html = reported.on_page(template, page, datetime.now(UTC), title=title, **values)
    return HTMLResponse(html, headers={
        "Content-Language": page.language, "Content-Security-Policy": _POLICY,
    })


def _whose(visitor: Caller, user: str | None) -> str | None:
    """Whose runs; None for everybody's."""
    if user == "*" and visitor.is_operator:
        return None
    if user is not None and not visitor.sees(user):
        raise NotAllowed("You can see your own runs only.")
    return user or visitor.name


def _choices(
    request: Request, visitor: Caller, since: str, user: str | None
) -> list[tuple[str, str, bool]]:
    """(address, text, whether it is shown now) of the other reports that one may want."""
    language, path = pages.language_of(request), request.url.path
    made = [
        (f"{path}?{urlencode({'since': x} | ({'user': user} if user else {}))}",
         _since(x, language), x == since)
        for x in _CHOICES
    ]
    if visitor.is_operator:
        everybody = user == "*"
        text = words.say(language, "My runs") if everybody else words.say(language, "All runs")
        who = {} if everybody else {"user": "*"}
        made.append((f"{path}?{urlencode({'since': since} | who)}", text, False))
    return made


def _since(since: str, language: str) -> str:
    count = int(since[:-1])
    if since.endswith("h"):
        return words.say(language, "{count} hours", count=count)
    return words.say(language, "{count} days", count=count)
