"""Spawn to ready: Madang beside plain DockerSpawner, the same image, in turn, in one run.

    .venv/bin/python -m tests.bench.spawn [--count 10]

Prints medians in seconds (API call → the hub says ready) and their ratio, and the memory of hub,
proxy, service and one idle server. Whole-process figures of a machine that others use too: quote
medians and ratios.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import httpx

from tests.people import Person
from tests.workspace import ROOT, Workspace, _free_port, wait_for, workspace

IMAGE = "madang/notebook:latest"
PLAIN = """
import os
c = get_config()
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "bench", "services": ["bench"],
    "scopes": ["admin:users", "admin:servers"]}}]
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://{gateway}:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.db_url = "sqlite:///{folder}/plain.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.remove = True
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.prefix = "plain-{token}"
c.DockerSpawner.pull_policy = "skip"
c.DockerSpawner.http_timeout = 120
"""


class Plain:
    """Stock JupyterHub with stock DockerSpawner."""

    def __init__(self, folder: Path, beside: Workspace) -> None:
        self.token = secrets.token_hex(4)
        self.docker = docker.from_env()
        self.network = self.docker.networks.create(f"plain-{self.token}", driver="bridge")
        self.network.reload()
        gateway = self.network.attrs["IPAM"]["Config"][0]["Gateway"]
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        proxy = beside.data / "node" / "node_modules" / ".bin" / "configurable-http-proxy"
        config = folder / "plain.py"
        config.write_text(
            PLAIN.format(
                token=self.token,
                port=port,
                hub_port=_free_port(),
                proxy_port=_free_port(),
                gateway=gateway,
                folder=folder,
                image=IMAGE,
                network=self.network.name,
                proxy=[str(proxy if proxy.exists() else _proxy())],
            )
        )
        self._hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            stdout=(folder / "plain.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.http = httpx.Client(
            base_url=f"{self.url}/hub/api",
            headers={"Authorization": f"token {self.token}"},
            timeout=60,
        )
        wait_for(lambda: self.http.get("/").status_code == 200, timeout=60, why="plain hub")
        self.http.post("/users/bench")

    def spawn(self) -> float:
        began = time.perf_counter()
        self.http.post("/users/bench/server")
        wait_for(lambda: self._server().get("ready"), every=0.05, timeout=120)
        took = time.perf_counter() - began
        self.http.delete("/users/bench/server")
        wait_for(lambda: not self._server(), every=0.1, timeout=60)
        return took

    def _server(self) -> dict[str, object]:
        return self.http.get("/users/bench").json()["servers"].get("", {})

    def close(self) -> None:
        self._hub.terminate()
        self._hub.wait(60)
        self.network.remove()


def ours(student: Person) -> float:
    """Seconds from the API call to ready, on a free slice; stopped again afterwards."""
    began = time.perf_counter()
    student.start("1g.5gb").raise_for_status()
    wait_for(student.ready, every=0.05, timeout=120)
    took = time.perf_counter() - began
    student.stop()
    wait_for(lambda: not student.server(), every=0.1, timeout=60)
    return took


def memory(place: Workspace, student: Person) -> dict[str, float]:
    """MiB resident: hub, proxy and service processes, and the container of an idle server."""
    student.start("1g.5gb")
    wait_for(student.ready, timeout=120)
    time.sleep(10)
    names = {"hub": "jupyterhub", "proxy": "configurable-http-proxy", "service": "hub.face.service"}
    used = {k: sum(_rss(p) for p in place.pids(v)) for k, v in names.items()}
    container = next(c for c in place.containers() if c.labels.get("madang.kind") == "server")
    stats = container.stats(stream=False)["memory_stats"]
    inactive = stats.get("stats", {}).get(
        "inactive_file", stats.get("stats", {}).get("total_inactive_file", 0)
    )
    used["idle server"] = (stats["usage"] - inactive) / 2**20
    student.stop()
    return used


def _rss(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) for x in text.splitlines() if x.startswith("VmRSS")) / 1024


def _proxy() -> Path:
    found = [
        *ROOT.glob(".madang/node/node_modules/.bin/configurable-http-proxy"),
        *Path(tempfile.gettempdir(), "chp").glob("node_modules/.bin/configurable-http-proxy"),
    ]
    return found[0]


@contextmanager
def both(folder: Path) -> Iterator[tuple[Workspace, Plain]]:
    cards = json.dumps(["A100-40:1g.5gb,1g.5gb"])
    with workspace(folder, f"mb-{os.getpid()}", cards) as place:
        plain = Plain(folder, place)
        try:
            yield place, plain
        finally:
            plain.close()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=10)
    count = options.parse_args().count
    with tempfile.TemporaryDirectory() as name, both(Path(name)) as (place, plain):
        student = place.student("student1")
        ours(student), plain.spawn()  # warm both
        pairs = [(ours(student), plain.spawn()) for _ in range(count)]
        a, b = ([p[i] for p in pairs] for i in (0, 1))
        for label, x in (("madang", a), ("plain DockerSpawner", b)):
            middle = statistics.median(x)
            print(f"{label:22s} median {middle:5.2f} s  min {min(x):5.2f}  max {max(x):5.2f}")
        ratio = statistics.median(a) / statistics.median(b)
        print(f"ratio of medians {ratio:.2f} (n={count} each, in turn)")
        for what, mib in memory(place, student).items():
            print(f"memory {what:12s} {mib:6.0f} MiB")


if __name__ == "__main__":
    main()
