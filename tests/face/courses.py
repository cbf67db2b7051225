"""Courses for tests of the service: packed, published, and looked at in a student's home."""

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.face.running import Running
from tests.notebooks import code, dumped, text

TOML = b'title = "Deep learning"\ngroup = "ml"\nprofile = "1g.5gb"\n'
PWN = "<img src=x onerror=\"document.title='pwned'\">"


def book(*sources: str, title: str = "# Tensors") -> bytes:
    """A notebook with a title t and code cells c1, c2 …"""
    cells = [code(f"c{i}", x) for i, x in enumerate(sources, 1)]
    return dumped(text("t", title), *cells)


FIRST = {
    "course.toml": TOML, "week1/tensors.ipynb": book("a = 1", "b = 2", "c = 3"),
    "week1/help.py": b"one = 1\n",
}
SECOND = {
    "course.toml": TOML, "week1/tensors.ipynb": book("a = 10", "b = 20", "c = 3"),
    "week1/help.py": b"one = 10\n", "week2/cnn.ipynb": book("d = 4", title=PWN),
}


def packed(files: Mapping[str, bytes]) -> str:
    """A folder as it is sent."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return base64.b64encode(out.getvalue()).decode()


def call(
    service: Running, who: str, method: str, path: str, *, language: str = "en", **rest: Any
) -> httpx.Response:
    """Ask the API in somebody's name."""
    with service.client(f"t-{who}", **{"Accept-Language": language}) as http:
        return http.request(method, f"api/courses{path}", **rest)


def drafted(
    service: Running, files: Mapping[str, bytes], course: str = "dl", who: str = "teacher"
) -> dict[str, Any]:
    """A draft of these files."""
    made = call(service, who, "POST", "/drafts", json={"course": course, "files": packed(files)})
    assert made.status_code == 201, made.text
    return dict(made.json())


def published(
    service: Running, files: Mapping[str, bytes], notes: str = "", course: str = "dl"
) -> int:
    """These files as the next release; its number."""
    id = drafted(service, files, course)["id"]
    made = call(service, "teacher", "POST", f"/drafts/{id}/publish", json={"notes": notes})
    assert made.status_code == 201, made.text
    return int(made.json()["number"])


def updated(service: Running, who: str, course: str = "dl") -> dict[str, Any]:
    """What an update did to somebody's folder."""
    made = call(service, who, "POST", f"/{course}/update", json={})
    assert made.status_code == 200, made.text
    return dict(made.json())


def file_of(service: Running, who: str, path: str, course: str = "dl") -> Path:
    """A file in somebody's home."""
    return service.broker.edges.homes.path(who) / "courses" / course / path


def edited(
    service: Running, who: str, path: str, change: Callable[[dict[str, Any]], object],
    course: str = "dl",
) -> None:
    """A notebook in somebody's home, changed and saved as Jupyter does."""
    file = file_of(service, who, path, course)
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found, indent=1))
    os.chown(file, 1000, 1000)


def cell(id: str, source: str, count: int | None = None) -> Callable[[dict[str, Any]], None]:
    """A change: this cell says so, and was run as number `count`."""
    def change(found: dict[str, Any]) -> None:
        (one,) = (x for x in found["cells"] if x["id"] == id)
        one["source"], one["execution_count"] = source, count

    return change
