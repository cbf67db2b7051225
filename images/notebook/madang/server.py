"""Jupyter server extension: which slice is this, and until when? Lab's status bar asks.

It also tells Madang's service what the server does (`activity.py`), and passes its courses on to
Lab (`courses_server.py`).
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web

from madang.activity import ActivityReporter
from madang.asking import Away, Refused
from madang.courses_server import add_courses
from madang.handlers import MadangHandler
from madang.lease import Lease, NoLease

_REPORTER = "madang_reporter"  # the web application's settings are where extensions keep things


def describe(environment: Mapping[str, str]) -> dict[str, Any]:
    """The slice as `container_options` of the hub wrote it into the environment.

    `memory_mib` is an int; everything is None where the server has no slice.
    """
    profile = environment.get("MADANG_SLICE") or None
    if profile is None:
        return {"slice": None, "gpu": None, "uuid": None, "memory_mib": None, "lease": None,
                "text": "CPU"}
    gpu = environment.get("MADANG_GPU", "")
    memory = int(environment.get("MADANG_MEMORY_MIB") or 0)
    parts = [profile, gpu.removeprefix("NVIDIA ")]
    if memory:
        parts.append(f"{memory / 1024:.1f} GiB")
    return {
        "slice": profile, "gpu": gpu, "uuid": environment.get("MADANG_UUID"),
        "memory_mib": memory, "lease": environment.get("MADANG_LEASE"),
        "text": " · ".join(x for x in parts if x),
    }


class _LeaseHandler(MadangHandler):
    """What all verbs share."""

    @property
    def reporter(self) -> ActivityReporter | None:
        """None on a server without a lease."""
        found: ActivityReporter = self.settings[_REPORTER]
        return found if found.lease.id else None

    def lease(self) -> Lease:
        """The server's lease; HTTP 404 where it has none."""
        if self.reporter is None:
            raise web.HTTPError(404, "This server has no slice.", reason="no-lease")
        return self.reporter.lease


async def _dated(asked: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The lease as it is now."""
    return {"state": await asked, "now": _now()}


class LeaseHandler(_LeaseHandler):
    """<base>/madang/lease: the slice and the lease (GET), give it back (DELETE)."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The slice, and `state`: the lease as the service tells it.

        `state` is None where there is none or the service does not answer (`away`); `waiting`: how
        many people wait, None where that is not known; `now`: ISO, UTC, so that a page whose clock
        is wrong can count down.
        """
        found: dict[str, Any] = {"state": None, "away": False, "waiting": None, "now": _now()}
        if self.reporter is not None:
            found["waiting"] = self.reporter.told.get("waiting")
            try:
                found["state"] = state = await self.reporter.lease.look(self.language)
                found["waiting"] = state.get("waiting", found["waiting"])
            except Away:
                found["away"] = True
            except Refused as e:
                found["refused"] = str(e)
        self.finish(json.dumps({**describe(os.environ), **found}))

    @web.authenticated
    @authorized
    async def delete(self) -> None:
        """Give the slice back. The server is stopped soon after."""
        await self.answer(_dated(self.lease().give_back(self.language)))


class ExtendHandler(_LeaseHandler):
    """<base>/madang/lease/extend."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask for more time."""
        await self.answer(_dated(self.lease().extend(self.language)))


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "madang.server"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    base = app.web_app.settings["base_url"]
    app.web_app.add_handlers(".*$", [  # type: ignore[no-untyped-call]
        (url_path_join(base, "madang/lease"), LeaseHandler),
        (url_path_join(base, "madang/lease/extend"), ExtendHandler),
    ])
    add_courses(app)
    lease = Lease.of(os.environ) or NoLease()
    app.web_app.settings[_REPORTER] = ActivityReporter(parent=app, lease=lease)


async def _start_jupyter_server_extension(app: ServerApp) -> None:
    reporter = app.web_app.settings.get(_REPORTER)
    if reporter is not None:
        # kept: a task that nobody holds may be collected
        app.web_app.settings[f"{_REPORTER}_task"] = asyncio.create_task(reporter.run())
