"""A small service that answers as Madang's does, for the command line to speak to."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

TOKEN = "right"
RUN = {
    "id": "ab12cd34ef", "user": "kim", "notebook": "lab.ipynb", "profile": "1g.5gb",
    "image": "madang/notebook:latest", "parameters": {}, "stage": "waiting",
    "asked_at": "2026-01-01T09:00:00+00:00", "folder": "runs/lab-ab12", "cwd": "", "timeout": 0,
    "started_at": None, "ended_at": None, "exit_code": None, "cells_done": 0, "cells": 0,
    "message": "", "slice": "", "commit": "", "seed": None, "attempt": 1,
}
LINE: dict[str, Any] = {
    "id": RUN["id"], "position": 2, "user": "kim", "profile": "1g.5gb", "kind": "run",
    "asked_at": "x",
}
BEGUN = {"stage": "running", "started_at": "2026-01-01T09:01:00+00:00"}
END = {"stage": "succeeded", "exit_code": 0, "ended_at": "2026-01-01T09:02:05+00:00",
       "message": "3 cells", "cells": 3, "cells_done": 3}
# what a stream sends: ("run", changes) | ("log", text) | ("wait", seconds) | ("break", None)
GOES_WELL: list[tuple[str, Any]] = [
    ("run", {}), ("run", BEGUN), ("log", "madang: cell 1/3\nhel"),
    ("run", BEGUN | {"cells_done": 1}), ("log", "lo\nmadang: cell 3/3\n[red]loss 0.1\n"),
    ("run", END), ("end", {}),
]
SLICES = [
    {"gpu_index": 0, "profile": "1g.5gb", "start": 4, "state": "held", "memory_mib": 4864,
     "used_mib": None, "user": "김민수", "gpu_name": "A100-SXM4-40GB", "lease": "l1"},
    {"gpu_index": 0, "profile": "2g.10gb", "start": 0, "state": "free", "memory_mib": 9856,
     "used_mib": 0, "user": None, "gpu_name": "A100-SXM4-40GB", "lease": None},
]


class Service:
    """One service: what it shall say, and what it was asked."""

    def __init__(self) -> None:
        self.script = GOES_WELL
        self.run = dict(RUN)
        self.line: list[dict[str, Any]] = [dict(LINE)]
        self.leases: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.submitted: dict[str, Any] = {}
        self.language = ""
        self.connections = 0
        self.breaks = 0
        self.lost: list[str] = []  # what happens to the next POSTs' answers: see `_lose`
        self.keys: list[str] = []
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.api = f"http://127.0.0.1:{self._socket.getsockname()[1]}/services/madang/api"
        config = uvicorn.Config(self._app(), log_level="error", lifespan="off",
                                timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(self._watch)
        base = "/services/madang/api"
        app.get(base + "/me")(lambda: {"name": "kim", "is_operator": False, "groups": ["ai"]})
        app.get(base + "/slices")(lambda: SLICES)
        app.get(base + "/line")(lambda: self.line)
        app.get(base + "/leases")(lambda: self.leases)
        app.get(base + "/offers")(lambda: PlainTextResponse("<html>log in</html>"))
        app.get(base + "/runs")(lambda: [self.run | END])
        app.post(base + "/runs", status_code=201)(self._submit)
        app.get(base + "/runs/{id}")(self._one)
        app.get(base + "/runs/{id}/logs")(lambda: PlainTextResponse("hello\n안녕\n"))
        app.delete(base + "/runs/{id}")(lambda: self.run | {"stage": "stopping"})
        app.delete(base + "/leases/{id}")(lambda: {"id": "l1", "stage": "draining"})
        app.get(base + "/runs/{id}/events")(self._events)
        return app

    async def _watch(self, request: Request, call_next: Any) -> Any:
        self.asked.append((request.method, request.url.path.removeprefix("/services/madang/api")))
        self.language = request.headers.get("accept-language", "")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _refusal(403, "Log in first.", "not-allowed")
        answer = await call_next(request)
        if request.method == "POST":
            self.keys.append(request.headers.get("idempotency-key", ""))
            if self.lost:
                return self._lose(self.lost.pop(0))
        return answer

    def _lose(self, how: str) -> Any:
        """What was asked was done, and nobody hears of it."""
        if how == "cut":
            return StreamingResponse(iter([b"{"]), headers={"Content-Length": "100"})
        if how == "busy":
            return _refusal(503, "The database is busy; try again in a moment.", "busy")
        if how == "full":
            return _refusal(503, "The disk with the database is full.", "disk-full")
        return PlainTextResponse("<html>Service Unavailable</html>", status_code=int(how))

    async def _submit(self, request: Request) -> Any:
        self.submitted = await request.json()
        if self.submitted["profile"] == "9g.1gb":
            return _refusal(
                400, "There is no profile 9g.1gb. There are: 1g.5gb, 2g.10gb.", "profile")
        return self.run

    def _one(self, id: str) -> Any:
        if not str(self.run["id"]).startswith(id):
            return _refusal(404, f"There is no run {id}.", "not-found")
        return self.run

    def _events(self) -> StreamingResponse:
        self.connections += 1
        return StreamingResponse(self._play(), media_type="text/event-stream")

    async def _play(self) -> AsyncIterator[str]:
        """Every connection gets the run as it is and the log from its beginning."""
        yield "retry: 2000\n\n: a comment\n\n"
        now = dict(self.run)
        for kind, data in self.script:
            if kind == "wait":
                await asyncio.sleep(data)
            elif kind == "break":
                if self.breaks:
                    self.breaks -= 1
                    return
            else:
                now |= data if kind == "run" else {}
                shown = now if kind == "run" else data
                yield f"event: {kind}\ndata: {json.dumps(shown)}\n\n"


def _refusal(status: int, message: str, reason: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "reason": reason}}, status_code=status)
