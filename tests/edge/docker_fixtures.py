"""The real engine for a test: an installation of its own name, and nothing left of it afterwards.

`Saboteur` stands between the engine's client and the daemon and spoils the answers it is told to.
"""

import http.client
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import pytest

from hub.config import Settings
from hub.edge.engine import ContainerSpec, Engine, hardening

IMAGE = "madang/notebook:latest"
SOCKET = "/var/run/docker.sock"


def unique() -> str:
    return f"t{secrets.token_hex(4)}"


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings(**{"name": unique(), "data": folder / "data", "memory_limit": "512M", **more})


class Yard:
    """One installation on the real engine, with what a test needs to look behind it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = Engine(settings)
        self.docker = docker.APIClient(timeout=60, version="auto")

    def spec(self, code: str, *, lease: str = "", **more: Any) -> ContainerSpec:
        """A run of Python `code` as the student; `lease` is made up when not given."""
        lease = lease or secrets.token_hex(4)
        host_config = {**hardening(self.settings), **more.pop("host_config", {})}
        labels = {
            "madang.lease": lease, "madang.kind": "run", "madang.user": "Ünal/..",
            "madang.slice": "node/GPU-1/1g.5gb@0",
        }
        return ContainerSpec(**{
            "name": f"{self.settings.name}-run-{lease}", "image": IMAGE, "labels": labels,
            "command": ("python", "-c", code), "host_config": host_config, **more,
        })

    def start(self, code: str, **more: Any) -> str:
        """Start it; its lease."""
        spec = self.spec(code, **more)
        self.engine.start_run(spec)
        return spec.labels["madang.lease"]

    def ids(self) -> list[str]:
        label = f"madang.instance={self.settings.name}"
        return [x["Id"] for x in self.docker.containers(all=True, filters={"label": label})]

    def wait(self, *, seconds: float = 60) -> list[int]:
        """Wait for the end of all; their exit codes."""
        return [self.docker.wait(x, timeout=seconds)["StatusCode"] for x in self.ids()]

    def run(self, code: str, **more: Any) -> str:
        """Run it to its end; what it wrote."""
        lease = self.start(code, **more)
        assert self.wait() == [0], self.engine.logs(lease).decode()
        text = self.engine.logs(lease).decode()
        self.engine.remove(lease)
        return text

    def ask(self, id: str, code: str) -> str:
        """What Python `code` prints inside the running container `id`."""
        made = self.docker.exec_create(id, ["python", "-c", code])
        return str(self.docker.exec_start(made["Id"]).decode().strip())

    def story(self) -> str:
        parts = []
        for id in self.ids():
            seen = self.docker.inspect_container(id)
            said = self.docker.logs(id, tail=40).decode(errors="replace")
            parts.append(f"--- {seen['Name']} {seen['State']}\n{said}")
        return "\n".join(parts)

    def close(self) -> None:
        print(self.story())  # pytest shows it where the test failed
        for id in self.ids():
            self.docker.remove_container(id, force=True, v=True)
        for net in self.docker.networks(names=[self.settings.name]):
            self.docker.remove_network(net["Id"])
        assert not self.ids()
        self.docker.close()
        self.engine.close()


@contextmanager
def yard_at(folder: Path, **more: Any) -> Iterator[Yard]:
    made = Yard(settings_for(folder, **more))
    try:
        yield made
    finally:
        made.close()


SLEEP = "import time; time.sleep(120)"


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with yard_at(tmp_path) as made:
        yield made


Spoil = Callable[[str, str], tuple[int, Any] | None]


class Saboteur:
    """Docker's API on TCP: forwards to the daemon, except what `spoil(method, path)` answers.

    `spoil` gives (status, body), or None to let it through. `seen` are the requests so far.
    """

    def __init__(self, spoil: Spoil) -> None:
        self.spoil = spoil
        self.seen: list[tuple[str, str]] = []
        saboteur = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                saboteur.handle(self)

            do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server's words

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"tcp://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.seen.append((request.command, request.path))
        status, answer = self.spoil(request.command, request.path) or forward(
            request.command, request.path, body, request.headers.get("Content-Type")
        )
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def forward(
    method: str, path: str, body: bytes = b"", kind: str | None = None
) -> tuple[int, bytes]:
    """Ask the real daemon."""
    line = http.client.HTTPConnection("docker", timeout=60)
    line.sock = socket.socket(socket.AF_UNIX)
    line.sock.connect(SOCKET)
    line.request(method, path, body, {"Content-Type": kind or "application/json"})
    answer = line.getresponse()
    data = answer.read()
    line.close()
    return answer.status, data


@contextmanager
def sabotaged(yard: Yard, spoil: Spoil) -> Iterator[tuple[Engine, Saboteur]]:
    """The yard's engine as seen through a saboteur."""
    saboteur = Saboteur(spoil)
    seen = Engine(yard.settings.model_copy(update={"docker": saboteur.address}))
    try:
        yield seen, saboteur
    finally:
        seen.close()
        saboteur.close()


def answers(part: str, status: int, message: str = "no", *, method: str = "") -> Spoil:
    """`status` for each request whose path has `part` (and, if given, of this method)."""
    def spoil(asked: str, path: str) -> tuple[int, Any] | None:
        hit = part in path and method in ("", asked)
        return (status, {"message": message}) if hit else None

    return spoil
