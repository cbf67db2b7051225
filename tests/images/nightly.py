"""A small service that keeps runs and schedules as Madang's does, for Lab's Notebook Jobs."""

import asyncio
import base64
import io
import json
import tarfile
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tests.images.service import END, RUN, Service

BASE = "/services/madang/api"
SIZES = ("1g.5gb", "3g.20gb")
IMAGES = [
    {"image": "madang/notebook:latest", "title": "PyTorch"},
    {"image": "madang/audio:latest", "title": "Audio"},
]
NO_RUN = "There is no run {id}. `madang run list` shows yours."
NO_SCHEDULE = "There is no schedule {id}."
DIFFERS = "The image is another one by now."
FULL = "You have 100 runs waiting or running, and more are not taken at once."


class JobService(Service):
    """What was submitted, and what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.refusal = ""
        self.hangs = False
        self.images = IMAGES
        self.groups = ["ai-2025"]
        self.outputs: dict[str, str] = {}

    def stop(self) -> None:
        """Nobody answers any more."""
        self._server.should_exit = True
        self._thread.join()

    def add(self, id: str, **facts: Any) -> dict[str, Any]:
        """A run, as if somebody had submitted it."""
        made = RUN | {"id": id, "folder": f"runs/2026-01-01-lab-{id}", "notebook": "lab.ipynb"}
        self.runs[id] = made | facts
        return self.runs[id]

    def ends(self, id: str, **facts: Any) -> None:
        """The run has ended well, or as `facts` say."""
        begun = {"started_at": "2026-01-01T09:01:00+00:00", "slice": "local/0:4"}
        self.runs[id] |= begun | END | facts

    def files_of(self, body: dict[str, Any]) -> list[str]:
        """What is in a submission's snapshot."""
        packed = io.BytesIO(base64.b64decode(body["snapshot"]))
        with tarfile.open(fileobj=packed, mode="r:gz") as tar:
            return sorted(tar.getnames())

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(self._watch)
        app.get(BASE + "/me")(lambda: {"name": "kim", "groups": self.groups})
        app.get(BASE + "/offers")(self._offers)
        app.get(BASE + "/images")(lambda: self.images or refusal(404, "Not Found"))
        app.get(BASE + "/line")(lambda: self.line)
        app.get(BASE + "/runs")(self._list)
        app.post(BASE + "/runs", status_code=201)(self._run)
        app.get(BASE + "/runs/{id}")(self._one)
        app.delete(BASE + "/runs/{id}")(self._cancel)
        app.post(BASE + "/runs/{id}/rerun", status_code=201)(self._again)
        app.get(BASE + "/runs/{id}/output")(self._output)
        app.get(BASE + "/schedules")(lambda: list(self.schedules.values()))
        app.post(BASE + "/schedules", status_code=201)(self._schedule)
        app.get(BASE + "/schedules/{id}")(self._one_schedule)
        app.patch(BASE + "/schedules/{id}")(self._change)
        app.delete(BASE + "/schedules/{id}")(self._end)
        app.post(BASE + "/schedules/{id}/run", status_code=201)(self._now)
        return app

    async def _watch(self, request: Request, call_next: Any) -> Any:
        if self.refusal and request.method != "GET":
            self.asked.append((request.method, request.url.path.removeprefix(BASE)))
            return refusal(429, self.refusal)
        return await super()._watch(request, call_next)

    def _list(self, schedule: str = "") -> Any:
        found = [x for x in self.runs.values() if schedule in {"", x.get("schedule")}]
        return found[::-1]

    async def _offers(self) -> Any:
        while self.hangs:  # noqa: ASYNC110 - a thread of the test sets it
            await asyncio.sleep(0.05)
        return [{"profile": x} for x in SIZES]

    async def _run(self, request: Request) -> Any:
        body = await self._body(request)
        id = f"{len(self.runs):010x}"
        wanted = ("parameters", "profile", "cwd", "timeout", "retries", "image")
        facts = {k: body[k] for k in wanted if k in body}
        return self.add(id, notebook=body["notebook_name"], **facts)

    def _cancel(self, id: str) -> Any:
        run = self.runs.get(id)
        if run is None:
            return refusal(404, NO_RUN.format(id=id))
        if run["stage"] not in {"succeeded", "failed", "cancelled"}:
            stage = "stopping" if run["stage"] == "running" else "cancelled"
            run |= {"stage": stage, "message": "cancelled by kim"}
        return run

    def _again(self, id: str) -> Any:
        old = self.runs[id]
        fresh = {k: old[k] for k in ("notebook", "profile", "parameters", "cwd")}
        return {"run": self.add(f"{len(self.runs):010x}", **fresh), "differs": [DIFFERS]}

    def _output(self, id: str) -> Any:
        if id not in self.outputs:
            return refusal(404, "This run has left no notebook.")
        return Response(self.outputs[id], media_type="application/x-ipynb+json")

    async def _schedule(self, request: Request) -> Any:
        body = await self._body(request)
        id = f"{len(self.schedules):010x}"
        self.schedules[id] = {
            "image": "", **{k: x for k, x in body.items() if k not in {"notebook", "snapshot"}},
            "id": id, "user": "kim", "paused": False, "sweep": {}, "source": "person",
            "made_at": "2026-01-01T09:00:00+00:00", "last": None, "occurrences": [],
            "next": [{"local": "2026-01-02T02:00", "at": "2026-01-02T01:00:00Z"}],
        }
        return self.schedules[id]

    async def _change(self, id: str, request: Request) -> Any:
        body = await self._body(request)
        self.schedules[id] |= {k: x for k, x in body.items() if k != "notebook"}
        return self.schedules[id]

    def _end(self, id: str) -> Any:
        return self.schedules.pop(id, None) or refusal(404, NO_SCHEDULE.format(id=id))

    async def _now(self, id: str, request: Request) -> Any:
        schedule, body = self.schedules[id], await self._body(request)
        return self.add(
            f"{len(self.runs):010x}", schedule=id, profile=schedule["profile"],
            parameters={**schedule["parameters"], **body["parameters"]},
            notebook=schedule["notebook_name"], cwd=schedule["cwd"],
        )

    async def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(await request.body())
        self.bodies.append(body)
        return body

    def _one(self, id: str) -> Any:
        return self.runs.get(id) or refusal(404, NO_RUN.format(id=id))

    def _one_schedule(self, id: str) -> Any:
        return self.schedules.get(id) or refusal(404, NO_SCHEDULE.format(id=id))


def refusal(status: int, message: str) -> JSONResponse:
    """As the service declines."""
    return JSONResponse({"error": {"message": message, "reason": "x"}}, status_code=status)
