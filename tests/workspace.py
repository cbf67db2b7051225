"""A whole Madang of its own for a test: its name, ports, data folder and cards; the real engine.

Nothing in it is replaced: the supervisor, the hub, the proxy, the service and Docker are the ones
that a student meets. `close()` leaves no process, container, network, rule or file behind.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import docker
import httpx

from tests.people import Person

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
STUDENTS = tuple(f"student{i}" for i in range(1, 9))
ROSTER = (
    "name,group,role\n"
    + "".join(f"{x},demo,student\n" for x in STUDENTS)
    + ("teacher,demo,instructor\noperator,staff,operator\n")
)


def wait_for(what: Callable[[], T], *, timeout: float = 60, every: float = 0.3, why: str = "") -> T:
    """The first true value of `what()`; errors of a hub that is down count as "not yet"."""
    end = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < end:
        try:
            value = what()
            if value:
                return value
            last = value
        except (httpx.HTTPError, KeyError, ConnectionError) as e:
            last = e
        time.sleep(every)
    raise AssertionError(f"not within {timeout:.0f} s: {why or what} (last: {last!r})")


class Workspace:
    """One installation; `settings` are Madang's own, as environment."""

    def __init__(self, folder: Path, name: str, simulated: str, **settings: str) -> None:
        self.name = name
        self.data = folder / "data"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        roster = folder / "roster.csv"
        roster.write_text(ROSTER)
        self.environment = {
            **os.environ,
            "MADANG_NAME": name,
            "MADANG_DATA": str(self.data),
            "MADANG_PORT": str(self.port),
            "MADANG_PROXY_API_PORT": str(_free_port()),
            "MADANG_HUB_PORT": str(_free_port()),
            "MADANG_SERVICE_PORT": str(_free_port()),
            "MADANG_GPUS": "simulated",
            "MADANG_SIMULATED": simulated,
            "MADANG_ROSTER": str(roster),
            "MADANG_TICK": "0.5",
            "MADANG_DISK_FREE_MIB": "100",
            "MADANG_SETTLE": "3",
            **{f"MADANG_{k.upper()}": v for k, v in settings.items()},
        }
        self.docker = docker.from_env(timeout=120)
        self._serve: subprocess.Popen[bytes] | None = None
        self._log = folder / "serve.log"
        self.clients: list[httpx.Client] = []
        self._people: dict[str, Person] = {}

    # ---- life ------------------------------------------------------------------------------

    def cli(self, *args: str, check: bool = True, **rest: Any) -> subprocess.CompletedProcess[str]:
        """`madang …` on the host, as the operator would."""
        done = subprocess.run(
            [sys.executable, "-m", "hub.face.cli", *args],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
            **rest,
        )
        if check and done.returncode:
            raise AssertionError(
                f"madang {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._serve = subprocess.Popen(
                [sys.executable, "-m", "hub.face.cli", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.wait_healthy()

    def wait_healthy(self) -> None:
        def up() -> bool:
            assert self._serve is None or self._serve.poll() is None, self.story()
            hub = httpx.get(f"{self.url}/hub/health", timeout=5).status_code == 200
            return (
                hub
                and httpx.get(f"{self.url}/services/madang/health", timeout=5).status_code == 200
            )

        try:
            wait_for(up, timeout=90, why="hub and service answer")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.story()}") from e

    def stop(self) -> None:
        """As `madang down` by a signal: hub, service and proxy end, containers stay."""
        if self._serve and self._serve.poll() is None:
            self._serve.send_signal(signal.SIGTERM)
            self._serve.wait(60)
        self._serve = None

    def close(self) -> None:
        self.stop()
        for container in self.containers():
            container.remove(force=True)
        self.cli("uninstall", "--yes", check=False)
        for client in self.clients:
            client.close()
        self.docker.close()
        left = [p for p in _processes() if p[2].get("MADANG_NAME") == self.name]
        for pid, _, _ in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes left: {left}"

    def story(self) -> str:
        """What a failing test shows: the ends of all logs and every container of ours."""
        parts = [self._log, *sorted((self.data / "log").glob("*.log"))]
        text = [f"--- {p}\n{p.read_text(errors='replace')[-4000:]}" for p in parts if p.exists()]
        for c in self.containers():
            state = c.attrs["State"]
            text.append(f"--- {c.name} {state}\n{c.logs(tail=40).decode(errors='replace')}")
        return "\n".join(text)

    # ---- people ----------------------------------------------------------------------------

    def password(self, user: str) -> str:
        which = "admin-password" if user == "operator" else "user-password"
        return (self.data / "secrets" / which).read_text().strip()

    def student(self, name: str) -> Person:
        """Somebody logged in; closed with the workspace."""
        if name not in self._people:
            self._people[name] = Person(self, name)
            answer = self._people[name].log_in()
            assert "/hub/login" not in str(answer.url), answer.text[:2000]
        return self._people[name]

    def rest(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Madang's REST API as the operator on the host."""
        token = (self.data / "secrets" / "operator.token").read_text().strip()
        return httpx.request(
            method,
            f"{self.url}/services/madang/api/{path}",
            timeout=30,
            headers={"Authorization": f"Bearer {token}"},
            **body,
        )

    # ---- the machine -----------------------------------------------------------------------

    def containers(self) -> list[Any]:
        return self.docker.containers.list(
            all=True, filters={"label": f"madang.instance={self.name}"}, ignore_removed=True
        )

    def pids(self, what: str) -> list[int]:
        """Processes of this installation whose command line has `what`."""
        return [
            p
            for p, line, env in _processes()
            if env.get("MADANG_NAME") == self.name and what in line
        ]

    def kill(self, what: str) -> None:
        """`kill -9` of the hub ("jupyterhub"), the service ("hub.face.service") or the proxy."""
        found = self.pids(what)
        assert found, (
            f"no process {what}: {[p[:2] for p in _processes() if p[2].get('MADANG_NAME')]}"
        )
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    def running(self) -> list[Any]:
        """Running containers of ours, as Docker shows them now."""
        return [c for c in self.containers() if c.status == "running"]

    def devices(self) -> dict[str, list[str]]:
        """Slice UUID → running containers that are pinned to it, in whichever way."""
        return grouped(self.running(), pinned_to)


def grouped(running: Iterable[Any], by: Callable[[Any], Iterable[str]]) -> dict[str, list[str]]:
    """What `by` finds in each container → the names of those that have it."""
    found: dict[str, list[str]] = {}
    for c in running:
        for one in by(c):
            found.setdefault(one, []).append(c.name)
    return found


def pinned_to(container: Any) -> list[str]:
    """UUIDs that a container is pinned to: device requests, CDI's names, or the environment."""
    ids = [
        x.removeprefix("nvidia.com/gpu=")
        for request in container.attrs["HostConfig"].get("DeviceRequests") or []
        for x in request.get("DeviceIDs") or []
    ]
    environment = dict(x.split("=", 1) for x in container.attrs["Config"]["Env"] if "=" in x)
    named = environment.get("NVIDIA_VISIBLE_DEVICES", "")
    # CDI's and the hook's containers say `void`, or nothing
    return [*ids, *([named] if named.startswith(("MIG-", "GPU-")) else [])]


def slice_of(container: Any) -> list[str]:
    """The slice that a container's label names; none for one without a slice."""
    named = container.labels.get("madang.slice", "")
    return [named] if named else []


@contextmanager
def workspace(folder: Path, name: str, simulated: str, **settings: str) -> Iterator[Workspace]:
    """A running installation, gone without a trace afterwards."""
    made = Workspace(folder, name, simulated, **settings)
    try:
        made.start()
        yield made
    except BaseException:
        print(made.story())
        raise
    finally:
        made.close()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _processes() -> list[tuple[int, str, dict[str, str]]]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            raw = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        env = dict(x.split("=", 1) for x in raw.split("\0") if "=" in x)
        if line and int(folder.name) != os.getpid():
            found.append((int(folder.name), line, env))
    return found
