"""A real Jupyter server with Madang's extension in it, and a front end's side of its sockets."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
from websocket import WebSocket, create_connection

from tests.images.bench import PACKAGE

SLICE = {
    "MADANG_SLICE": "3g.20gb", "MADANG_GPU": "NVIDIA A100-SXM4-40GB", "MADANG_UUID": "MIG-1",
    "MADANG_MEMORY_MIB": "19968", "MADANG_LEASE": "l1",
}
QUICK = {"interval": 0.2, "least": 0.1, "look": 0.1, "long": 1.5}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Jupyter:
    """One server; `reporter` is configuration of the extension's `ActivityReporter`."""

    def __init__(self, home: Path, environment: dict[str, str], **reporter: float) -> None:
        self._home, self._environment, self._reporter = home, environment, reporter
        self.url = f"http://127.0.0.1:{free_port()}/user/kim/"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": "token t"}, timeout=60)
        self.log = home / "server.log"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # no pings: a front end that reads nothing for 90 s, as ours may, would be closed
        config = {"ServerApp": {"jpserver_extensions": {"madang.server": True},
                                "tornado_settings": {"ws_ping_interval": 0}},
                  "ActivityReporter": self._reporter}
        (self._home / "jupyter_server_config.json").write_text(json.dumps(config))
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root",
                 "--ip=127.0.0.1", f"--port={httpx.URL(self.url).port}",
                 "--ServerApp.base_url=/user/kim/", "--IdentityProvider.token=t"],
                env={**os.environ, "PYTHONPATH": str(PACKAGE), "SHELL": "/bin/sh",
                     "JUPYTER_CONFIG_DIR": str(self._home), "HOME": str(self._home),
                     **self._environment},
                cwd=self._home, stdout=log, stderr=log,
            )
        self._until_it_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self._child is not None:
            self._child.terminate()
            self._child.wait(60)

    def _until_it_answers(self) -> None:
        for _ in range(600):
            try:
                self.http.get("api")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self.log.read_text())

    def socket(self, path: str) -> WebSocket:
        return create_connection(
            self.url.replace("http", "ws") + path, header=["Authorization: token t"], timeout=60)

    def kernel(self) -> "Kernel":
        return Kernel(self, self.http.post("api/kernels").json()["id"])


class Kernel:
    """A kernel and a front end that is connected to it until `leave`."""

    def __init__(self, server: Jupyter, id: str) -> None:
        self.id = id
        self._server = server
        self.come()

    def come(self) -> None:
        self._socket = self._server.socket(f"api/kernels/{self.id}/channels?session_id=s1")

    def leave(self) -> None:
        self._socket.close()

    def send(self, kind: str, content: Any, channel: str = "shell", **header: Any) -> str:
        """Send, and do not wait; the message's id."""
        id = uuid.uuid4().hex
        self._socket.send(json.dumps({
            "header": {"msg_id": id, "msg_type": kind, "username": "", "session": "s1",
                       "date": datetime.now(UTC).isoformat(), "version": "5.4", **header},
            "parent_header": {}, "metadata": {}, "content": content, "channel": channel,
            "buffers": [],
        }))
        return id

    def begin(self, code: str) -> str:
        return self.send("execute_request", {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": True,
        })

    def end(self, id: str, kind: str = "execute_reply") -> dict[str, Any]:
        """Wait for a reply."""
        while True:
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") == id and message["msg_type"] == kind:
                assert message["content"]["status"] == "ok", message["content"]
                return dict(message["content"])

    def run(self, code: str) -> None:
        self.end(self.begin(code))

    def state(self) -> str:
        """As jupyter_server has it."""
        return str(self._server.http.get(f"api/kernels/{self.id}").json()["execution_state"])

    def restart(self) -> None:
        self._server.http.post(f"api/kernels/{self.id}/restart").raise_for_status()

    def shut_down(self) -> None:
        self.leave()
        self._server.http.delete(f"api/kernels/{self.id}").raise_for_status()

