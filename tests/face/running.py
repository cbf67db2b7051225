"""The service, running: real store, broker, batch and uvicorn; Docker and the hub stand aside."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from jupyterhub.services.auth import HubOAuth

from hub.batch import Batch
from hub.broker import Broker
from hub.config import Settings
from hub.core.lease import OPEN, Limits, check
from hub.core.roster import parse
from hub.core.rules import House
from hub.edge.engine import Container, ContainerSpec, Network
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges, rules_of
from hub.errors import Unavailable, Unknown
from hub.face.lifeline import listen
from hub.face.login import Login
from hub.face.service import create_app
from tests.face.hub_stand_in import Hub, stand_in

PREFIX = "/services/madang/"
ROSTER = (
    "name,group,role\nana,ml,student\nbo,ml,student\nteacher,ml,instructor\n"
    "cho,vision,student\noperator,staff,operator\n"
)
NOTEBOOK: dict[str, Any] = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {},
    "cells": [
        {"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "outputs": [],
         "execution_count": None, "source": "epochs = 1"},
    ],
}


@dataclass
class PaperEngine:
    """Containers that exist on paper only; `away` is a Docker that gives no answer."""

    found: dict[str, Container] = field(default_factory=dict)
    logged: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    starts: list[str] = field(default_factory=list)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    digest: str = "sha256:0"
    specs: list[ContainerSpec] = field(default_factory=list)

    def containers(self) -> tuple[Container, ...]:
        if self.away:
            raise Unknown("Docker is away")
        return tuple(self.found.values())

    def start_run(
        self, spec: ContainerSpec, confirm: Callable[[], bool] = lambda: True
    ) -> str:
        lease = spec.labels["madang.lease"]
        there = self.found.get(lease)
        if there and (there.running or there.finished_at):
            return lease
        if not confirm():
            raise Unavailable("taken back", reason="lease-lost")
        self.starts.append(lease)
        self.specs.append(spec)
        self.found[lease] = Container(
            id=lease, name=spec.name, lease=lease, kind="run", user=spec.labels["madang.user"],
            image=spec.image, running=True, started_at=datetime.now(UTC),
        )
        return lease

    def say(self, id: str, text: bytes) -> None:
        self.logged[id] = self.logged.get(id, b"") + text

    def exit(
        self, id: str, code: int, *, oom: bool = False, at: datetime | None = None
    ) -> None:
        self.found[id] = replace(
            self.found[id], running=False, exit_code=code, oom=oom,
            finished_at=at or datetime.now(UTC),
        )

    def stop(self, lease_id: str, _timeout: int) -> None:
        if lease_id in self.found and self.found[lease_id].running:
            self.exit(lease_id, 75)

    def remove(self, lease_id: str) -> None:
        self.found.pop(lease_id, None)

    def logs(self, lease_id: str, **_: object) -> bytes:
        return self.logged.get(lease_id, b"")

    def ends(self) -> Any:
        raise Unknown("nobody is told of ends on paper: the tick sees them")

    def images(self) -> dict[str, str]:
        return {"madang/notebook:latest": self.digest}

    def archive(self, lease_id: str, path: str, limit: int) -> bytes | None:
        found = self.files.get((lease_id, path.rpartition("/")[2]))
        return found if found is not None and len(found) <= limit else None

    def fail(self, *_: object) -> Any:
        raise Unknown("500 from Docker")

    def pin(self) -> str:
        return "device-request"

    def ensure_network(self, **_: object) -> Network:
        return Network("madang", "n", "172.30.0.1", "br-x", "172.30.0.0/24", 1500)


class PaperHubApi:
    """The hub's servers, as told."""

    has_token = True

    def __init__(self) -> None:
        self.stopped: list[tuple[str, str]] = []

    def servers(self) -> dict[tuple[str, str], object]:
        return {}

    def start_server(self, user: str, server: str, options: object) -> None:
        """Nothing to start."""

    def stop_server(self, user: str, server: str) -> None:
        self.stopped.append((user, server))


class PaperFirewall:
    """No rules are needed where no container is."""

    def ensure(self, **_: object) -> None:
        """Nothing to do."""


@dataclass
class Running:
    """A running service and what stands behind it."""

    url: str
    settings: Settings
    broker: Broker
    batch: Batch
    engine: PaperEngine
    gpus: Simulated
    hub: type[Hub]
    app: FastAPI

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """An HTTP client with this token (see `hub_stand_in.TOKENS`)."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.url + PREFIX, headers={"Accept-Language": "en", **given, **headers},
            timeout=20,
        )

    def submit(self, token: str | None = None, **changes: Any) -> httpx.Response:
        """POST a notebook, as ana unless another token is given."""
        body = {"notebook_name": "night.ipynb", "notebook": NOTEBOOK, "profile": "1g.5gb"} | changes
        with self.client(token or "t-ana") as http:
            return http.post("api/runs", json=body)


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings for one test: one card with two slices of the smallest size, quick ticks."""
    given: dict[str, Any] = {
        "data": folder / "data", "simulated_dir": folder / "cards", "gpus": "simulated",
        "node": "node1", "simulated": ("A100-40:3g.20gb,1g.5gb,1g.5gb",), "tick": 0.1,
        "settle": 0, "disk_free_mib": 0, "notebook_mib": 1, "snapshot_mib": 0,
        "schedules_file": None,
    }
    return Settings(**(given | changes))


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Running]:
    """The service on a port of its own; after it the state is checked."""
    settings = settings_for(folder, **changes)
    store = Store(
        settings.database_url, limits=Limits(settle=timedelta(0)), rules=rules_of(settings)
    )
    store.upgrade()
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    engine = PaperEngine()
    paper: dict[str, Any] = {
        "engine": engine, "hub": PaperHubApi(), "firewall": PaperFirewall(),
    }
    broker = Broker(settings, Edges(store=store, gpus=gpus, homes=Homes(settings), **paper))
    broker.set_members(parse(ROSTER, "roster"))
    batch = Batch(broker)
    with stand_in() as (api, hub):
        auth = HubOAuth(
            api_url=api, api_token="t-own", oauth_client_id="service-madang", base_url=PREFIX,
            access_scopes={"access:services!service=madang"}, cache_max_age=1,
        )
        app = create_app(broker, batch, Login(auth, broker.members), PREFIX)
        with serving(app) as url:
            made = Running(url, settings, broker, batch, engine, gpus, hub, app)
            until(broker.offers, "the first tick has seen the cards")
            yield made
    check(store.read())
    store.close()


@contextmanager
def empty_after(service: Running) -> Iterator[Running]:
    """A service that many tests share: nothing of a test is left for the next one."""
    try:
        yield service
    finally:
        for id, lease in service.broker.state().leases.items():
            if lease.stage in OPEN:
                service.broker.end(id, "the test")
        with service.broker.edges.store.write() as unit:
            house = House(unit.state.house.rules)
            unblocked = {k: replace(x, blocked="") for k, x in unit.state.slices.items()}
            unit.state = replace(unit.state, house=house, slices=unblocked)
        until(lambda: not service.broker.state().leases, "every slice is free")
        service.broker.set_members(parse(ROSTER, "roster"))


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """uvicorn in a thread, as `service.main` runs it."""
    socket = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=1,
    ))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        until(lambda: server.started, "uvicorn answers")
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        socket.close()
        assert not thread.is_alive(), "the service does not stop"


def until(what: Callable[[], Any], why: str, timeout: float = 60) -> Any:
    """The first true value of `what()`."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := what():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {why}")


def error(answer: httpx.Response, status: int, reason: str) -> str:
    """The message of an error, after looking at its form."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "reason"}
    assert body["error"]["reason"] == reason
    assert body["error"]["message"]
    return str(body["error"]["message"])
