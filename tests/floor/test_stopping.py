"""Servers that are ended from outside: said first, stopped through the hub, and asked again."""

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.broker import Broker
from hub.core import forecast
from hub.core.lease import Lease, Stage, Why
from hub.edge.engine import Container
from tests.face.running import PaperHubApi, until
from tests.floor.floors import Floor, floor_at
from tests.floor.test_desk import SMALL, ask


class Api(PaperHubApi):
    """The hub, as it is here: with a token or without, quick or not; what it stops may be lost."""

    def __init__(self, broker: Broker, *, works: bool = True) -> None:
        super().__init__()
        self.broker, self.works = broker, works
        self.answers = threading.Event()
        self.seen: list[tuple[str, Why | None]] = []

    def stop_server(self, user: str, server: str) -> None:
        assert self.answers.wait(20)
        lease = next(x for x in self.broker.history() if x.request.user == user)
        self.seen.append((lease.cause, lease.why))
        if self.works:
            # what the spawner does, with its own word for it
            self.broker.withdraw(lease.id, "stopped")
        self.stopped.append((user, server))


def up(floor: Floor, lease: Lease) -> Lease:
    floor.broker.started(lease.id)
    floor.engine.found[lease.id] = Container(
        id=lease.id, name=lease.id, lease=lease.id, kind="server", user=lease.request.user,
        image="i", running=True, started_at=datetime.now(UTC),
    )
    return lease


def api_of(floor: Floor, **rest: bool) -> Api:
    made = Api(floor.broker, **rest)
    floor.broker.edges.hub = made  # type: ignore[assignment]
    return made


def test_who_ended_it_and_why_is_kept_before_it_is_stopped(floor: Floor) -> None:
    hub = api_of(floor)
    hub.answers.set()
    lease = up(floor, floor.server())
    floor.broker.end(lease.id, "teacher", "the exam begins")
    until(lambda: hub.stopped, "it was stopped")
    assert hub.seen == [("ended by teacher: the exam begins", Why.HAND)]
    after = floor.broker.look(lease.id).lease
    assert (after.cause, after.why) == hub.seen[0]


def test_one_that_waits_is_told_by_its_line(floor: Floor) -> None:
    hub = api_of(floor)
    hub.answers.set()
    floor.server()
    waits = floor.server("cho")
    floor.broker.end(waits.id, "teacher", "go home")
    after = floor.broker.look(waits.id).lease
    assert (after.stage, after.why) == (Stage.WITHDRAWN, Why.HAND)
    assert after.cause == "ended by teacher: go home"
    floor.broker.close()
    assert not hub.stopped, "a cancel would be faster than the reason"


def test_no_tick_and_no_asker_waits_for_the_hub(tmp_path: Path) -> None:
    with floor_at(tmp_path, min_hold=1, notice=1, max_hold=2) as floor:
        hub = api_of(floor)
        held = [up(floor, ask(floor.broker, x, SMALL)) for x in ("ana", "bo")]
        floor.broker._clock = lambda: datetime.now(UTC) + timedelta(seconds=3)
        ask(floor.broker, "cho", SMALL)  # her turn ends both
        floor.tick(2)
        assert not hub.stopped, "the hub has not answered yet"
        assert [floor.stage_of(x.id) for x in held] == [Stage.DRAINING] * 2
        hub.answers.set()
        until(lambda: len(hub.stopped) == 2, "both are stopped")


def test_a_stop_that_was_lost_is_asked_for_again(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    now = [datetime.now(UTC)]
    floor.broker._clock = lambda: now[0]
    hub = api_of(floor, works=False)
    hub.answers.set()
    hub.has_token = False  # the hub's own process
    lease = up(floor, floor.server())
    with caplog.at_level(logging.INFO):
        floor.broker.end(lease.id, "teacher")
    assert not caplog.records
    hub.has_token = True

    def asked(seconds: int) -> int:
        now[0] += timedelta(seconds=seconds)
        floor.broker.tick()
        until(lambda: not floor.broker._stops._errands.busy(), "the hub has answered")
        return len(hub.stopped)

    assert [asked(x) for x in (1, 2, 2, 2, 4, 1)] == [1, 1, 1, 2, 2, 3]
    floor.engine.found[lease.id] = replace(floor.engine.found[lease.id], running=False)
    assert [asked(9), asked(9)] == [3, 3]


def test_a_forecast_that_fails_refuses_nobody(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    floor.server()

    def broken(*_: object) -> None:
        raise RuntimeError("no past")

    with monkeypatch.context() as m:
        m.setattr(floor.broker.outlook, "foretold", broken)
        waits = floor.server("cho")
    assert waits.stage is Stage.WAITING
    assert "without a range" in caplog.text
    told = floor.broker.look(floor.server("dan").id).lease
    assert told.eta is not None


def test_of_many_looks_at_once_one_computes(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.server()
    waits = floor.server("cho")
    state, outlook = floor.broker.state(), floor.broker.outlook
    real, count = forecast.places, list[int]()

    def slow(*args: object, **rest: object) -> object:
        count.append(1)
        time.sleep(0.1)
        return real(*args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(forecast, "places", slow)
    looks = [threading.Thread(target=outlook.place, args=(state, waits.id)) for _ in range(8)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert len(count) == 1


def test_a_past_that_could_not_be_read_is_read_again(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlook = floor.broker.outlook
    with monkeypatch.context() as m:
        m.setattr(outlook, "_read", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            outlook.past()
    read = list[object]()
    monkeypatch.setattr(outlook, "_read", lambda *x: read.append(x))
    outlook.past()
    outlook.past()
    assert len(read) == 1
