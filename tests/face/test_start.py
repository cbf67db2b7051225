"""A start's edges without JupyterHub and Docker: who is left in the line, what is believed."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hub import metrics
from hub.broker import Broker
from hub.core.lease import Kind, Lease, Stage
from hub.errors import Unavailable
from hub.face.booting import Booting
from hub.face.refused import Refused
from hub.face.spawner import SliceSpawner, bound
from tests.face.test_line import IMAGE, FlakyBroker, broker, threads

__all__ = ["broker", "threads"]
SIZE = "3g.20gb"


@pytest.fixture
def spawner(broker: FlakyBroker) -> Iterator[SliceSpawner]:
    """ana's server in a hub that has just started: it remembers nothing."""
    made = bound(broker.settings, broker)(user=SimpleNamespace(name="ana"))
    yield made
    made.threads.store.shutdown()
    made.threads.docker.shutdown()


def _left_behind(broker: Broker) -> Lease:
    """ana waits since before the hub was restarted."""
    ask = functools.partial(broker.ask, kind=Kind.SERVER, name="", profile=SIZE, image=IMAGE)
    ask(user="holder")
    return ask(user="ana")


def _look(broker: Broker, lease: Lease) -> tuple[Stage, str]:
    found = broker.look(lease.id).lease
    return found.stage, found.cause


async def test_an_image_that_is_no_longer_allowed_leaves_nobody_in_the_line(
    broker: FlakyBroker, spawner: SliceSpawner
) -> None:
    left = _left_behind(broker)
    spawner.user_options = {"profile": SIZE, "image": "taken-away:1"}
    with pytest.raises(Refused, match="not allowed"):
        await spawner.run_pre_spawn_hook()
    stage, cause = _look(broker, left)
    assert stage is Stage.WITHDRAWN
    assert "taken-away:1" in cause


async def test_a_refused_request_leaves_nobody_in_the_line(
    broker: FlakyBroker, spawner: SliceSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = _left_behind(broker)

    def full(**_: object) -> Lease:
        raise Unavailable("The disk is full.", reason="disk-full", status=507)

    monkeypatch.setattr(broker, "ask", full)
    spawner.user_options = {"profile": SIZE, "image": IMAGE}
    with pytest.raises(Refused, match="disk is full"):
        await spawner.run_pre_spawn_hook()
    assert _look(broker, left) == (Stage.WITHDRAWN, "The disk is full.")


async def test_the_refusal_is_told_where_the_store_is_away_too(
    broker: FlakyBroker, spawner: SliceSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unavailable("The database is busy.")

    monkeypatch.setattr(broker, "state", away)
    spawner.user_options = {"profile": SIZE, "image": "taken-away:1"}
    with pytest.raises(Refused, match="not allowed"):
        await spawner.run_pre_spawn_hook()


async def test_who_takes_cpu_only_after_a_restart_waits_for_nothing(
    broker: FlakyBroker, spawner: SliceSpawner
) -> None:
    left = _left_behind(broker)
    spawner.user_options = {"profile": "cpu", "image": IMAGE}
    await spawner.run_pre_spawn_hook()
    assert _look(broker, left) == (Stage.WITHDRAWN, "another choice was made")
    assert not spawner.line.lease_id


async def test_the_seconds_of_a_start_are_counted_from_behind_the_gate(
    spawner: SliceSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_: Booting) -> tuple[str, int]:
        await asyncio.sleep(0.05)
        return "172.30.0.2", 8888

    monkeypatch.setattr(Booting, "run", run)
    before = _observed()
    for _ in range(spawner.settings.start_parallel):
        await spawner.gate.acquire()
    starting = asyncio.create_task(spawner.start())
    await asyncio.sleep(0.5)
    released = time.monotonic()
    spawner.gate.release()
    assert await starting == ("172.30.0.2", 8888)
    count, seconds = (b - a for a, b in zip(before, _observed(), strict=True))
    assert count == 1
    assert 0.04 < seconds < time.monotonic() - released


def _observed() -> tuple[float, float]:
    """Starts of servers that were counted, and their seconds."""
    found = {
        s.name: s.value for f in metrics.START.collect() for s in f.samples
        if s.labels == {"kind": "server"}
    }
    return found["madang_start_seconds_count"], found["madang_start_seconds_sum"]


# ---- what answers on a student's port is the student's -------------------------------------------


@asynccontextmanager
async def _answering(head: str, body: bytes = b"", times: int = 1) -> AsyncIterator[Any]:
    """A server with this one answer; `.asked` are the requests' first lines, `.sent` bytes."""
    seen = SimpleNamespace(asked=[], sent=0, url="")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.asked.append((await reader.readline()).decode().strip())
        writer.write(head.replace("{url}", seen.url).encode())
        try:
            for _ in range(times):
                writer.write(body)
                await writer.drain()
                seen.sent += len(body)
        except OSError:
            pass  # nobody reads on
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield seen
    finally:
        server.close()


async def test_a_redirect_is_an_answer_and_is_not_followed(spawner: SliceSpawner) -> None:
    head = "HTTP/1.1 302 Found\r\nLocation: {url}secret\r\nContent-Length: 0\r\n\r\n"
    async with _answering(head) as seen:
        assert await Booting(spawner)._knock(f"{seen.url}user/ana/api")
    assert seen.asked == ["GET /user/ana/api HTTP/1.1"]


@pytest.mark.parametrize("framing", ["Content-Length: 52428800", "Connection: close"])
async def test_an_endless_answer_is_not_read(spawner: SliceSpawner, framing: str) -> None:
    head = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"
    async with _answering(head, b"x" * (1 << 20), times=50) as seen:
        await Booting(spawner)._knock(seen.url)
        await asyncio.sleep(0.1)
    assert seen.sent < 10 << 20


@pytest.mark.parametrize(("status", "answers"), [
    ("200 OK", True), ("404 Not Found", True), ("503 Service Unavailable", False),
])
async def test_whatever_is_no_failure_is_an_answer(
    spawner: SliceSpawner, status: str, *, answers: bool
) -> None:
    async with _answering(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n", b"{}") as seen:
        assert await Booting(spawner)._knock(seen.url) is answers
