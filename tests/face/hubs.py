"""A real hub behind a real proxy, with Madang's own configuration; the test does the ticks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx

from hub import config, upkeep
from hub.broker import Broker, open_broker
from hub.errors import Refusal, Unknown
from hub.face import keys

ROOT = Path(__file__).resolve().parents[2]
ROSTER = (
    "name,group,role\nana,ml,student\nbo,ml,student\ncho,ml,student\n"
    "teacher,ml,instructor\noperator,staff,operator\n"
)
_TICK = 0.4


class RunningHub:
    """A hub of its own: name, ports, folder, cards. `url` is where people reach it."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        self.folder, self.name = folder, name
        port, api, hub, service = _ports(4)
        (folder / "roster.csv").write_text(settings.pop("people", ROSTER))
        values = {
            "name": name, "data": str(folder / "data"), "port": port, "proxy_api_port": api,
            "hub_port": hub, "service_port": service, "gpus": "simulated",
            "simulated": '["A100-40:3g.20gb"]', "disk_free_mib": "10", "settle": "1",
            "roster": str(folder / "roster.csv"), "cpu_idle": "0", **settings,
        }
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            f"MADANG_{k.upper()}": str(v).replace("{url}", self.url) for k, v in values.items()
        }
        self.settings = _settings(self.environment)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: list[httpx.Client] = []
        self._over = threading.Event()
        self._ticking = threading.Thread(target=self._tick, daemon=True)
        self.broker: Broker = open_broker(self.settings)
        self.docker = docker.APIClient(base_url=self.settings.docker, timeout=60)

    # ---- life ------------------------------------------------------------------------------

    def start(self) -> None:
        keys.ensure(self.settings)
        upkeep.prepare(self.settings)
        self._run("proxy", [
            "node", str(proxy_program()), "--ip", "127.0.0.1", "--port", str(self.settings.port),
            "--api-ip", "127.0.0.1", "--api-port", str(self.settings.proxy_api_port),
            "--log-level", "error",
        ])
        self._ticking.start()
        self.start_hub()

    def start_hub(self) -> None:
        self._run("hub", [sys.executable, "-m", "jupyterhub", "-f",
                          str(ROOT / "tests/face/hub_config.py")])
        self.wait(self.healthy, "the hub answers")

    def end_hub(self, number: signal.Signals) -> None:
        self._children["hub"].send_signal(number)
        self._children.pop("hub").wait(60)

    def close(self) -> None:
        self._over.set()
        for client in self.clients:
            client.close()
        for child in reversed(list(self._children.values())):
            child.terminate()
            child.wait(60)
        if self._ticking.is_alive():
            self._ticking.join(30)
        for found in self.containers():
            self.docker.remove_container(found["Id"], force=True, v=True)
        self.broker.edges.firewall.remove()
        self.broker.edges.engine.remove_network()
        settings = self.broker.settings
        for left in settings.simulated_dir.glob(f"{settings.name}.*"):
            left.unlink(missing_ok=True)
        self.broker.edges.store.close()
        self.docker.close()

    # ---- looking ---------------------------------------------------------------------------

    def healthy(self) -> bool:
        child = self._children["hub"]
        assert child.poll() is None, self.story()
        return httpx.get(f"{self.url}/hub/health", timeout=5).status_code == 200

    def wait(self, what: Any, why: str, timeout: float = 60) -> Any:
        end, last = time.monotonic() + timeout, None
        while time.monotonic() < end:
            try:
                if last := what():
                    return last
            except (httpx.HTTPError, KeyError) as e:
                last = e
            time.sleep(0.3)
        raise AssertionError(f"not within {timeout} s: {why} (last: {last!r})\n{self.story()}")

    def containers(self) -> list[dict[str, Any]]:
        return self.docker.containers(
            all=True, filters={"label": f"madang.instance={self.name}"})

    def story(self) -> str:
        """For a failing test: the ends of the logs, and each container's state and log."""
        parts = [f"--- {x}\n{x.read_text(errors='replace')[-6000:]}"
                 for x in sorted(self.folder.glob("*.log"))]
        for found in self.containers():
            log = self.docker.logs(found["Id"], tail=30).decode(errors="replace")
            parts.append(f"--- {found['Names']} {found['Status']}\n{log}")
        return "\n".join(parts)

    def password(self, user: str) -> str:
        which = "admin-password" if user == "operator" else "user-password"
        return keys.read(self.settings, which)

    # ---- inside ----------------------------------------------------------------------------

    def _run(self, name: str, command: list[str]) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MADANG_")},
            **self.environment, "PYTHONPATH": str(ROOT),
            "CONFIGPROXY_AUTH_TOKEN": keys.read(self.settings, "proxy.token"),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=log)

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            try:
                self.broker.tick()
            except (Refusal, Unknown) as e:
                print(f"tick: {e}")


@contextmanager
def running_hub(folder: Path, name: str, **settings: str) -> Iterator[RunningHub]:
    """A hub that answers, gone without a trace afterwards."""
    hub = RunningHub(folder, name, **settings)
    try:
        hub.start()
        yield hub
    except BaseException:
        print(hub.story())
        raise
    finally:
        hub.close()


def proxy_program() -> Path:
    """configurable-http-proxy, where `make` puts it or where `CHP` says."""
    package = "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    folders = [os.environ.get("CHP", ""), str(ROOT / ".madang/node")]
    found = [Path(x) / package for x in folders if x and (Path(x) / package).exists()]
    assert found, f"no proxy in {folders}: run make"
    assert shutil.which("node"), "no Node.js: run make"
    return found[0]


def _settings(environment: dict[str, str]) -> config.Settings:
    kept = {k: v for k, v in os.environ.items() if k.startswith("MADANG_")}
    for key in kept:
        del os.environ[key]
    os.environ.update(environment)
    try:
        return config.load()
    finally:
        for key in environment:
            del os.environ[key]
        os.environ.update(kept)


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [x.getsockname()[1] for x in sockets]
    finally:
        for one in sockets:
            one.close()
