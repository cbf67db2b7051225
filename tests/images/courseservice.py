"""A small service with one course, for the server's extension and Lab to speak to.

What a release makes of a file is written down by the test, and not merged here.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from tests.images.labbox import STUDENT
from tests.images.service import Service

AT = "2026-11-23T09:00:00+00:00"
COURSE = {
    "name": "torch-101", "title": "Torch in four evenings", "group": "ai-2025", "role": "member",
}
SAID = {
    "new": "new", "updated": "updated", "kept": "kept yours", "beside": "side by side",
    "waiting": "open in Lab", "removed-kept": "removed upstream, kept", "merged": "both in one",
}
REFUSAL = {"en": "This release was withdrawn.", "ko": "철회된 릴리스입니다."}


class CourseService(Service):
    """`home`: where handouts are written; `coming`: (path, text, fate, cells) of the next one."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.reset()

    def reset(self) -> None:
        """A member who has release 2, and nothing newer."""
        self.newest, self.mine, self.conflicts, self.number = 2, 2, 0, 2
        self.away = self.refuses = False
        self.bodies: list[dict[str, Any]] = []
        self.handouts: list[dict[str, Any]] = []
        self.coming: dict[str, tuple[str, str, list[dict[str, Any]]]] = {}
        self.before: dict[str, str] = {}
        self.told: dict[str, list[str]] = {}
        self.collections: list[dict[str, Any]] = []

    def release(self, **coming: Any) -> None:
        """A newer release; path=(text, fate) or (text, fate, cells)."""
        self.newest += 1
        self.coming = {path: (*rest, [])[:3] for path, rest in coming.items()}  # type: ignore[misc]

    def hand_out(self, *left: str) -> dict[str, Any]:
        """As at a start, or as Lab asks for it."""
        files = []
        for path, (text, fate, cells) in list(self.coming.items()):
            late = path in left
            files.append(file_of(path, "waiting" if late else fate, [] if late else cells))
            if not late:
                del self.coming[path]
                self._write(path, text)
        self.mine = self.newest
        self.number += 1
        self.handouts.append({
            "course": "torch-101", "update": self.number, "release": self.newest, "at": _now(),
            "undone_at": None, "conflicts": 0, "files": files,
        })
        return self.handouts[-1]

    def file(self, path: str) -> Path:
        return self.home / "courses" / "torch-101" / path

    def _write(self, path: str, text: str) -> None:
        file = self.file(path)
        self.before[path] = file.read_text() if file.exists() else ""
        fresh = file.with_name(file.name + ".tmp")
        fresh.write_text(text)
        os.chown(fresh, STUDENT, STUDENT)
        fresh.replace(file)

    # ---- what is asked --------------------------------------------------------------------------

    def _app(self) -> FastAPI:
        app = FastAPI()
        base = "/services/madang/api/courses"
        app.middleware("http")(self._watch)
        app.get(base)(lambda: [self._course()])
        app.get(base + "/torch-101")(self._whole)
        app.get(base + "/torch-101/updates")(lambda: self.handouts)
        app.get(base + "/torch-101/collections")(lambda: self.collections)
        app.put(base + "/open")(self._open)
        app.post(base + "/torch-101/update")(self._update)
        app.post(base + "/torch-101/updates/{number}/undo")(self._undo)
        return app

    async def _watch(self, request: Request, call_next: Any) -> Any:
        if self.away:
            return HTMLResponse("<h1>Madang restarts</h1>", 503)
        return await super()._watch(request, call_next)

    def _course(self) -> dict[str, Any]:
        return COURSE | {
            "newest": self.newest, "mine": self.mine, "conflicts": self.conflicts,
            "behind": bool(self.coming),
        }

    def _whole(self) -> dict[str, Any]:
        releases = [
            {"number": n, "at": AT, "by": "lee", "notes": f"What is new in {n}.\n- a task",
             "files": 12, "notebooks": 4, "withdrawn": False, "withdrawn_at": None,
             "withdrawn_by": ""} for n in range(self.newest, 0, -1)
        ]
        return self._course() | {
            "zone": "Asia/Seoul", "folder": "courses/torch-101", "git": "x", "releases": releases,
        }

    async def _update(self, request: Request) -> Any:
        if self.refuses:
            korean = request.headers.get("accept-language", "").startswith("ko")
            said = REFUSAL["ko" if korean else "en"]
            return JSONResponse({"error": {"message": said, "reason": "withdrawn"}}, 409)
        self.bodies.append(await request.json())
        return self.hand_out(*self.bodies[-1]["open"]) if self.coming else {"nothing": True}

    async def _open(self, request: Request) -> Any:
        told = await request.json()
        assert told["window"]
        self.told = told["files"]
        return {"open": sum(map(len, self.told.values()))}

    def _undo(self, number: int) -> Any:
        [found] = [x for x in self.handouts if x["update"] == number]
        for file in found["files"]:
            if file["path"] in self.before:
                self._write(file["path"], self.before[file["path"]])
        found["undone_at"] = _now()
        return found


def file_of(path: str, fate: str, cells: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What became of a file, as the service tells it."""
    return {"path": path, "fate": fate, "said": SAID[fate], "note": "", "beside": "",
            "conflicts": 0, "cells": cells or []}


def collection_of(name: str, due: datetime, **own: Any) -> dict[str, Any]:
    """A collection as a student sees it; `own`: what was taken of them, nothing for not yet."""
    taken = {"user": "s", "files": 2, "size": 9, "taken_at": due.isoformat(), "problem": "",
             "returned_at": None}
    return {"name": name, "path": name, "yours": True, "due": due.isoformat(), "made_by": "lee",
            "taken_at": None, "feedback_at": None, "submissions": [taken | own] if own else []}


def cell_of(id: str, fate: str) -> dict[str, Any]:
    """What became of a cell."""
    return {"id": id, "fate": fate, "said": fate, "why": "", "before": "", "after": ""}


def _now() -> str:
    return datetime.now(UTC).isoformat()
