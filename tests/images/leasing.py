"""A small service that knows one lease, for the server's extension to speak to."""

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from tests.images.service import Service

LEASE = {
    "id": "l1", "stage": "running", "profile": "3g.20gb", "promised": "2026-01-01T10:00:00+00:00",
    "until": "2026-01-01T21:00:00+00:00", "leave_by": None, "notice": None, "can_extend": True,
}
NO = {"en": "Somebody waits for this slice.", "ko": "이 슬라이스를 기다리는 사람이 있습니다."}


class LeaseService(Service):
    """What the server told of its activity, and what shall be answered."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[dict[str, Any]] = []
        self.lease: dict[str, Any] = dict(LEASE)
        self.waiting = 0
        self.refuses = False
        self.away = False
        self.forgets = False

    def heard(self, seconds: float = 3.0) -> list[dict[str, Any]]:
        """What the server says in the next `seconds`."""
        first = len(self.reports)
        time.sleep(seconds)
        return self.reports[first:]

    def _app(self) -> FastAPI:
        app = FastAPI()
        base = "/services/madang/api/leases/l1"
        app.middleware("http")(self._watch)
        app.get(base)(lambda: self.lease)
        app.post(f"{base}/activity")(self._report)
        app.post(f"{base}/extend")(self._extend)
        app.delete(base)(self._give_back)
        return app

    async def _watch(self, request: Request, call_next: Any) -> Any:
        if self.away:
            return HTMLResponse("<h1>Madang restarts</h1>", 503)
        if self.forgets:
            return JSONResponse({"error": {"message": "No lease.", "reason": "not-found"}}, 404)
        return await super()._watch(request, call_next)

    async def _report(self, request: Request) -> dict[str, Any]:
        self.reports.append(await request.json())
        times = ("promised", "until", "leave_by", "notice")
        return {**{x: self.lease[x] for x in times}, "waiting": self.waiting}

    def _extend(self, request: Request) -> Any:
        if self.refuses:
            return _no(request, "somebody-waits")
        self.lease = self.lease | {"promised": "2026-01-01T11:00:00+00:00"}
        return self.lease

    def _give_back(self, request: Request) -> Any:
        if self.refuses:
            return _no(request, "not-held")
        self.lease = self.lease | {"stage": "draining"}
        return self.lease


def _no(request: Request, reason: str) -> Response:
    korean = request.headers.get("accept-language", "").startswith("ko")
    said = NO["ko" if korean else "en"]
    return JSONResponse({"error": {"message": said, "reason": reason}}, 409)
