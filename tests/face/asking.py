"""Asking the running service in somebody's name."""

from typing import Any

import httpx

from hub.core.lease import Kind
from tests.face.running import Running

IMAGE = "madang/notebook:latest"
BOSS = "t-operator"


def call(service: Running, token: str, method: str, path: str, **rest: Any) -> httpx.Response:
    """Any answer."""
    with service.client(token) as http:
        return http.request(method, f"api/{path}", **rest)


def get(service: Running, token: str, path: str, **headers: str) -> Any:
    """The JSON of a good answer."""
    answer = call(service, token, "GET", path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(service: Running, name: str, token: str = BOSS, **changes: Any) -> httpx.Response:
    """Change a group's settings."""
    return call(service, token, "PUT", f"groups/{name}", json=changes)


def ask(service: Running, user: str, profile: str = "1g.5gb") -> str:
    """Ask for a server; the lease's id."""
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile=profile, image=IMAGE
    ).id
