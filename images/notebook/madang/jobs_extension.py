"""Jupyter server extension: Lab's Notebook Jobs, with Madang's runs and schedules behind them.

jupyter_scheduler costs most of a second of imports, and few people open its pages in a day. Its
own extension is switched off (jupyter/madang.json); the first request that needs it loads it.
"""

# jupyter_scheduler has no types
# mypy: disable-error-code="misc, import-not-found, import-untyped"

import json
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Router, Rule

_NAME = "jupyter_scheduler"


class _IsItThere(Matcher):
    """The one question that every Lab page asks when it is loaded: a list of no jobs."""

    def __init__(self, base: str) -> None:
        self._path = url_path_join(base, "scheduler/jobs")

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        asked = request.path == self._path and request.arguments.get("max_items") == [b"0"]
        return {} if asked and request.method == "GET" else None


class _NothingHandler(APIHandler):
    """It is there."""

    auth_resource = "madang"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """An empty list."""
        self.finish(json.dumps({"jobs": [], "total_count": 0}))


class _NotLoaded(Matcher):
    """Everything below `scheduler/`, until what answers it is loaded."""

    def __init__(self, base: str) -> None:
        self._prefix = url_path_join(base, "scheduler/")
        self.loaded = False

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if not self.loaded and request.path.startswith(self._prefix) else None


class _Loading(Router):
    """Loads jupyter_scheduler; then its own routes answer, this request too."""

    def __init__(self, app: ServerApp, unless: _NotLoaded) -> None:
        self._app = app
        self._unless = unless

    def find_handler(self, request: HTTPServerRequest, **rest: Any) -> Any:
        load(self._app)
        self._unless.loaded = True
        return self._app.web_app.find_handler(request, **rest)


def load(app: ServerApp) -> None:
    """Add jupyter_scheduler's routes to the server, answered by our scheduler; once."""
    if _NAME in app.web_app.settings:
        return
    from jupyter_scheduler.extension import SchedulerApp

    from madang.jobs_environments import Environments
    from madang.jobs_files import JobFiles
    from madang.notebook_jobs import NotebookJobs

    extension = SchedulerApp(
        scheduler_class=NotebookJobs, environment_manager_class=Environments,
        job_files_manager_class=JobFiles,
        db_url="sqlite://",  # in memory, and empty: it makes one whatever the scheduler is
    )
    # what jupyter_server does with an extension that is switched on
    extension._link_jupyter_server_extension(app)  # noqa: SLF001
    extension.initialize()


class _JobsHandler(APIHandler):
    """What our part of Lab's form asks beyond jupyter_scheduler's own routes."""

    auth_resource = "madang"

    async def answer(self, asked: Callable[[Any], Awaitable[Any]]) -> None:
        """What the scheduler says; its refusal is the answer's `message`."""
        load(self.settings["serverapp"])
        from jupyter_scheduler.exceptions import InputUriError, SchedulerError

        try:
            self.finish(json.dumps(await asked(self.settings["scheduler"])))
        except (SchedulerError, InputUriError) as e:
            self.set_status(409)
            self.finish(json.dumps({"message": str(e)}))


class FormHandler(_JobsHandler):
    """<base>/madang/jobs/form?path=: what a form for this notebook begins with."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """`parameters`: [{name, default, kind, literal}] in their order; `groups`: one's own."""
        path = self.get_query_argument("path")
        await self.answer(lambda scheduler: scheduler.form(path))


class AgainHandler(_JobsHandler):
    """<base>/madang/jobs/ID/again."""

    @web.authenticated
    @authorized
    async def post(self, job_id: str) -> None:
        """Run the same once more: {job_id, differs}."""
        await self.answer(lambda scheduler: scheduler.run_again(job_id))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "madang.jobs_extension"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    base = app.web_app.settings["base_url"]
    unless = _NotLoaded(base)
    app.web_app.add_handlers(".*$", [  # type: ignore[no-untyped-call]
        Rule(_IsItThere(base), _NothingHandler),
        (url_path_join(base, "madang/jobs/form"), FormHandler),
        (url_path_join(base, r"madang/jobs/([\w-]+)/again"), AgainHandler),
    ])
    # tornado's own: jupyter_server's wants to look at a handler's methods, and a router has none
    web.Application.add_handlers(app.web_app, ".*$", [Rule(unless, _Loading(app, unless))])
