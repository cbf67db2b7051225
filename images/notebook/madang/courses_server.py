"""The server's part of the button "Update course" in Lab: the service's courses, passed on.

The browser never sees the token; the service knows by it whose folder is meant.
"""

import os
from collections.abc import Mapping
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web

from madang.asking import Asking
from madang.handlers import MadangHandler

_SETTING = "madang_courses"
_UPDATE = 60.0  # seconds; a handout waits for another of the same student to end
_MOST, _LONGEST = 1000, 4096  # paths that are open, and characters of one
_COURSE = "[a-z0-9][a-z0-9-]{0,39}"


def asking(environment: Mapping[str, str]) -> Asking | None:
    """The service's courses; None on a server that no hub started."""
    api, token = environment.get("MADANG_API", ""), environment.get("JUPYTERHUB_API_TOKEN", "")
    return Asking(f"{api.rstrip('/')}/courses", token) if api and token else None


class _CourseHandler(MadangHandler):
    async def pass_on(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Ask the service; HTTP 404 where there is none."""
        service: Asking | None = self.settings[_SETTING]
        if service is None:
            raise web.HTTPError(404, "This server has no courses.", reason="no-courses")
        seconds = {} if method == "GET" else {"seconds": _UPDATE}
        await self.answer(service.ask(method, path, self.language, body, **seconds))


class LookHandler(_CourseHandler):
    """<base>/madang/courses…: what the person may see, as the service tells it."""

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """All courses, one, what it collects, its updates, or one of them."""
        await self.pass_on("GET", path)


class UpdateHandler(_CourseHandler):
    """<base>/madang/courses/COURSE/update."""

    @web.authenticated
    @authorized
    async def post(self, course: str) -> None:
        """Merge the newest release into the folder, but for the files that Lab says are open."""
        body = self.get_json_body()
        if body is None:
            body = {}  # nothing was sent
        paths = body.get("open", []) if isinstance(body, dict) else None
        if not (
            isinstance(paths, list) and len(paths) <= _MOST
            and all(isinstance(x, str) and len(x) <= _LONGEST for x in paths)
        ):
            raise web.HTTPError(400, "`open` is a list of paths.", reason="bad-input")
        await self.pass_on("POST", f"/{course}/update", {"open": paths})


class OpenHandler(_CourseHandler):
    """<base>/madang/courses/_open."""

    @web.authenticated
    @authorized
    async def put(self) -> None:
        """What a window has open, passed on: {"window": "x", "files": {COURSE: [path]}}."""
        body = self.get_json_body()
        if not isinstance(body, dict):
            raise web.HTTPError(400, "`files` is courses with paths.", reason="bad-input")
        await self.pass_on("PUT", "/open", {x: body.get(x) for x in ("window", "files")})


class UndoHandler(_CourseHandler):
    """<base>/madang/courses/COURSE/updates/N/undo."""

    @web.authenticated
    @authorized
    async def post(self, course: str, number: str) -> None:
        """Put back what the update changed."""
        await self.pass_on("POST", f"/{course}/updates/{number}/undo", {})


def add_courses(app: ServerApp) -> None:
    """The handlers, beside those of the lease (`server.py`)."""
    base = url_path_join(app.web_app.settings["base_url"], "madang/courses")
    app.web_app.settings[_SETTING] = asking(os.environ)
    app.web_app.add_handlers(".*$", [  # type: ignore[no-untyped-call]
        (f"{base}/_open", OpenHandler),  # no course is named so
        (rf"{base}(|/{_COURSE}(?:|/collections|/updates|/updates/\d{{1,9}}))", LookHandler),
        (rf"{base}/({_COURSE})/update", UpdateHandler),
        (rf"{base}/({_COURSE})/updates/(\d{{1,9}})/undo", UndoHandler),
    ])
