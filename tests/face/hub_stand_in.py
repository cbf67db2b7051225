"""What the service needs of a hub: who a token belongs to, and OAuth's token end point.

The real hub is in `test_login_hub.py`; this one gives tokens of every kind without starting it.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

ACCESS = "access:services!service=madang"


def person(name: str, *scopes: str, admin: bool = False, kind: str = "user") -> dict[str, Any]:
    """The hub's answer about a token that may use the service."""
    return {"name": name, "kind": kind, "admin": admin, "groups": [], "scopes": [ACCESS, *scopes]}


TOKENS: dict[str, dict[str, Any]] = {
    "t-ana": person("ana"),
    "t-bo": person("bo"),
    "t-cho": person("cho"),
    "t-teacher": person("teacher"),
    "t-teacher-server": person("teacher", "access:servers!server=teacher/"),
    "t-ana-server": person("ana", "access:servers!server=ana/"),
    "t-operator": person("operator"),
    # what the hub shows of a token from its token page, and of the one that a server is given
    "t-operator-made": person("operator", "access:servers!user=operator", "self"),
    "t-operator-server": person(
        "operator", "access:servers!server=operator/", "users:activity!user=operator"),
    "t-admin": person("root", admin=True),
    "t-admin-server": person("root", "access:servers!server=root/", admin=True),
    "t-was-admin": person("ana", admin=True),  # the hub's mark lasts until the next login
    "t-hostile": person("<img src=x onerror=alert(1)> '\"; DROP TABLE leases;--"),
    "t-host": person("madang-host", kind="service"),
    "t-service": person("ana", kind="service"),  # a service that is named like a person
    "t-prometheus": {"name": "prom", "kind": "service", "scopes": ["read:metrics"]},
    "t-stranger": {"name": "ana", "kind": "user", "scopes": ["access:servers!user=ana"]},
    "t-fake-host": person("madang-host"),  # a person that is named like our service
}


class Hub(BaseHTTPRequestHandler):
    """One request to the stand-in."""

    tokens: ClassVar[dict[str, dict[str, Any]]] = TOKENS
    asked: ClassVar[list[str]] = []
    broken = False

    def do_GET(self) -> None:
        self.asked.append(self.path)
        token = self.headers.get("Authorization", "").removeprefix("token ")
        if self.broken:
            self._answer(500, {})
        elif found := self.tokens.get(token):
            self._answer(200, found)
        else:
            self._answer(403, {"message": "no"})

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stand_in() -> Iterator[tuple[str, type[Hub]]]:
    """(address of its API, its class, to break it)."""
    hub = type("OneHub", (Hub,), {"asked": [], "broken": False, "tokens": dict(TOKENS)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hub/api", hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
