"""`python -m hub.face.service`: the service that JupyterHub starts and restarts.

REST and pages for people, with the hub's login; and the tick that moves everything.
"""

import logging
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

import uvicorn
from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hub import config, metrics
from hub.attending import Attending
from hub.batch import Batch
from hub.broker import Broker, open_broker
from hub.collecting import Collecting
from hub.courselooks import CourseLooks
from hub.courseschedules import CourseSchedules
from hub.desk import Desk
from hub.drafts import Drafts
from hub.errors import Refusal, Unavailable, Unknown
from hub.face import (
    api,
    api_collections,
    api_courses,
    api_desk,
    api_drafts,
    api_git,
    api_line,
    api_report,
    api_runs,
    api_schedules,
    bodies,
    coursepages,
    health,
    pages,
    reported,
    reportpages,
    words,
)
from hub.face.api import Parts
from hub.face.api_courses import Courses
from hub.face.facts import facts_of
from hub.face.guard import Guard
from hub.face.lifeline import end_with_parent, listen
from hub.face.login import Login, LoginNeeded, hub_auth, is_https
from hub.face.look import Look
from hub.face.notified import worded
from hub.face.runlist import RunList
from hub.face.stream import Printed, Streams
from hub.face.ticker import Ticker
from hub.face.views import ErrorOut, ErrorText
from hub.gauges import Facts, StateCollector
from hub.handout import Handouts
from hub.mornings import Mornings
from hub.notifying import Notifier
from hub.occurring import Occurring
from hub.publishing import Publishing
from hub.recovering import Recovering
from hub.reports import Reports
from hub.resuming import resume
from hub.schedulefile import ScheduleFile
from hub.schedules import Schedules
from hub.watching import Watching

log = logging.getLogger("madang.service")
_AGAIN = 30  # seconds after which whoever was too much may ask again


class _Registry(CollectorRegistry):
    """The process's own registry and our gauges; not in it: an app leaves nothing behind."""

    def __init__(self, gauges: StateCollector) -> None:
        super().__init__()
        self.register(gauges)
        self.register(REGISTRY)


def create_app(broker: Broker, batch: Batch, login: Login, prefix: str) -> FastAPI:
    """The application; its ticks begin and end with it.

    Args:
        prefix: where it stands in the address, with slashes at both ends.
    """
    app = FastAPI(
        title="Madang", version="1", lifespan=_lifespan, docs_url=None, redoc_url=None,
        openapi_url=f"{prefix}openapi.json", swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        summary="Slices, leases, the line and runs.",
    )
    app.state.prefix = prefix
    app.state.login = login
    schedules = Schedules(batch)
    app.state.parts = Parts(
        broker, batch, Desk(broker), login, _streams(broker, batch), schedules, RunList(batch)
    )
    app.state.reports = Reports(batch)
    app.state.mornings = Mornings(
        app.state.reports, partial(reported.as_file, app.state.reports)
    )
    app.state.notifier = Notifier(batch, worded(broker.settings, prefix))
    batch.mover.tell = app.state.notifier.ended
    occurring = Occurring(schedules)
    occurring.tell = app.state.notifier.unrun
    _add_courses(app, schedules)
    app.state.ticker = Ticker(
        broker, batch, broker.settings.tick, partial(resume, broker), {
            "schedules-file": ScheduleFile(schedules, broker.settings.schedules_file).tick,
            "schedules": occurring.tick, "handouts": app.state.attending.tick,
        },
    )
    batch.mover.wake = app.state.ticker.wake
    app.state.watching = Watching(broker.edges.engine, app.state.ticker.wake)
    app.state.health_thread = CapacityLimiter(2)
    app.state.parsing = CapacityLimiter(bodies.AT_ONCE)
    app.state.registry = _Registry(StateCollector(lambda: _facts(broker, batch)))
    for router in (
        api.router, api_runs.router, api_schedules.router, api_line.router, api_desk.router,
        api_report.router, api_courses.router, api_drafts.router, api_collections.router,
        api_git.router, health.router, reportpages.router, coursepages.router, pages.router,
    ):
        app.include_router(router, prefix=prefix.rstrip("/"))
    for path, files in pages.assets().items():
        app.mount(f"{prefix}{path}", files)
    # a snapshot comes in base64, which is a third more
    sent = broker.settings.notebook_mib + -(-4 * broker.settings.snapshot_mib // 3)
    # git itself says what is too much for a course, and it says it better
    app.add_middleware(
        Guard, notebook_mib=sent, larger={f"{prefix}git/": 2 * broker.settings.course_mib + 64}
    )
    _handlers(app)
    return app


def _add_courses(app: FastAPI, schedules: Schedules) -> None:
    """What the routes and the tick need for courses; after the parts and the reports."""
    state, batch = app.state, app.state.parts.batch
    state.publishing = Publishing(batch.broker, CourseSchedules(schedules))
    state.recovering = Recovering(state.publishing, batch.settings.tick)
    state.collecting = Collecting(state.publishing)
    state.git_turns = Counter[str]()
    handouts = Handouts(state.publishing)
    state.courses = Courses(
        state.publishing, handouts, CourseLooks(handouts),
        Drafts(state.publishing, batch, state.reports), state.reports,
    )
    state.attending = Attending(handouts)


def _facts(broker: Broker, batch: Batch) -> Facts:
    members = broker.members()
    metrics.expect(x.group for x in members)
    return facts_of(broker.state(), batch.counts(), members, datetime.now(UTC))


def _streams(broker: Broker, batch: Batch) -> Streams:
    def printed(id: str) -> Printed:
        # first the run: when it has ended by then, the log is whole
        run = batch.get(id)
        return Printed(run, batch.logs(run.id))

    return Streams(Look(broker, batch), printed)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.ticker.start()
    app.state.watching.start()
    app.state.mornings.start()
    app.state.notifier.start()
    app.state.collecting.start()
    app.state.recovering.start()
    try:
        yield
    finally:
        app.state.watching.stop()
        app.state.ticker.stop()
        app.state.mornings.stop()
        app.state.notifier.stop()
        app.state.collecting.stop()
        app.state.recovering.stop()
        app.state.reports.close()
        app.state.attending.close()
        app.state.courses.handouts.close()
        app.state.parts.batch.close()
        app.state.parts.broker.close()


# ---- errors -------------------------------------------------------------------------------------


def _handlers(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(LoginNeeded, _on_login_needed)
    app.add_exception_handler(Unknown, _on_unknown)
    app.add_exception_handler(RequestValidationError, _on_bad_form)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    metrics.refused(error.reason)
    # repr: what somebody sent must not begin a line of its own in the log
    log.info("%s %r refused (%s): %r",
             request.method, request.url.path, error.reason, error.detail[:2000])
    headers = {"WWW-Authenticate": "Bearer"} if error.reason == "not-logged-in" else {}
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = str(_AGAIN)
    if pages.is_page(request):
        answer = pages.refused(request, error)
        answer.headers.update(headers)
        return answer
    text = words.refusal(pages.language_of(request), error)
    return _answer(error.status, text, error.reason, headers)


async def _on_login_needed(request: Request, _: Exception) -> Response:
    login: Login = request.app.state.login
    return login.redirect(request)


async def _on_unknown(request: Request, error: Exception) -> Response:
    refusal = Unavailable(
        "The machine does not answer just now. Try again in a few seconds.", detail=str(error)
    )
    return await _on_refusal(request, refusal)


async def _on_bad_form(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # never the input itself: it may be a whole notebook
    problems = "; ".join(
        f"{'.'.join(str(x) for x in e['loc'][1:]) or 'body'}: {e['msg']}"
        for e in error.errors()[:5]
    )
    return await _on_refusal(request, Refusal(
        "The request is not understood: {problems}", reason="bad-request", status=422,
        problems=problems[:1000],
    ))


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = {404: "not-found", 413: "too-large"}.get(error.status_code, "bad-request")
    metrics.refused(reason)
    return _answer(error.status_code, error.detail, reason, error.headers)


async def _on_fault(request: Request, _: Exception) -> Response:
    # uvicorn logs the traceback
    text = "Something is broken here; the operator's log says what."
    return _answer(500, words.say(pages.language_of(request), text), "internal")


def _answer(
    status: int, message: str, reason: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = ErrorOut(error=ErrorText(message=message, reason=reason))
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


# ---- the process --------------------------------------------------------------------------------


def main() -> int:
    """Run until the hub stops us, or is gone."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    end_with_parent()
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
    try:
        settings = config.load()
        broker = open_broker(settings)
        socket = listen(url.hostname or "127.0.0.1", url.port or settings.service_port)
    except Refusal as e:
        log.error("%s", e.detail)  # noqa: TRY400 - it says what to do; no traceback would
        return 1
    login = Login(hub_auth(prefix), broker.members, secure=is_https())
    app = create_app(broker, Batch(broker), login, prefix)
    server = uvicorn.Server(uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=64 << 10,
        # The proxy keeps its connections until we close them, and what it sends in the moment when
        # we do is answered 503: so as long as the hub and every server (Tornado), not 5 s, which
        # is how often many a page asks.
        timeout_keep_alive=3600,
    ))
    server.run(sockets=[socket])
    return 0


if __name__ == "__main__":
    sys.exit(main())
