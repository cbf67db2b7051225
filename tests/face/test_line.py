"""Waiting in the line: the real broker and store; Docker is not needed for it."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.broker import Broker, View
from hub.core.forecast import Place
from hub.core.lease import Kind, Lease, Limits, Stage, check
from hub.core.roster import parse
from hub.core.rules import Group
from hub.edge.gpu import Simulated
from hub.edge.homes import Homes
from hub.edge.store import Store
from hub.edges import Edges
from hub.errors import BadInput, Unavailable
from hub.face import line as line_module
from hub.face.calls import Calls, Threads
from hub.face.form import Choice
from hub.face.line import Line, groups_of
from tests.face.running import PaperEngine, PaperFirewall, PaperHubApi, settings_for

IMAGE = "madang/notebook:latest"
BIG = Choice("3g.20gb", IMAGE)


class FlakyBroker(Broker):
    """A broker whose store can be away, and whose `ask` can take long."""

    away = 0
    slow: threading.Event | None = None
    asked = threading.Event()

    def look(self, id: str) -> View:
        if self.away > 0:
            self.away -= 1
            raise Unavailable("The database is busy; try again in a moment.")
        return super().look(id)

    def ask(self, **rest: Any) -> Lease:
        self.asked.set()
        if self.slow:
            assert self.slow.wait(20)
        return super().ask(**rest)


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyBroker]:
    monkeypatch.setattr(line_module, "LOOK", 0.02)
    settings = settings_for(tmp_path)
    store = Store(settings.database_url, limits=Limits(settle=timedelta(0)))
    store.upgrade()
    gpus = Simulated(settings.simulated_dir / "madang.json", "node1", settings.simulated)
    paper: dict[str, Any] = {
        "engine": PaperEngine(), "hub": PaperHubApi(), "firewall": PaperFirewall(),
    }
    made = FlakyBroker(settings, Edges(store=store, gpus=gpus, homes=Homes(settings), **paper))
    made.asked = threading.Event()
    made.tick()
    yield made
    check(store.read())
    store.close()


@pytest.fixture
def threads(broker: FlakyBroker) -> Iterator[Threads]:
    made = Threads(broker.settings.docker)
    yield made
    made.store.shutdown()
    made.docker.shutdown()


def _line(broker: Broker, threads: Threads, user: str, told: list[Place] | None = None) -> Line:
    places = [] if told is None else told
    return Line(broker, Calls(threads), user=user, server="", tell=places.append)


def _hold(broker: Broker) -> Lease:
    """Somebody has the one slice of 3g.20gb."""
    return broker.ask(user="holder", kind=Kind.SERVER, name="", profile="3g.20gb", image=IMAGE)


def _stage(broker: Broker, id: str) -> Stage:
    return Broker.look(broker, id).lease.stage


async def _waiting(told: list[Place]) -> None:
    async with asyncio.timeout(10):
        while not told:  # noqa: ASYNC110 - told in a thread's callback, or not at all
            await asyncio.sleep(0.01)


async def test_a_free_slice_is_granted_at_once(broker: FlakyBroker, threads: Threads) -> None:
    line = _line(broker, threads, "ana")
    await line.pass_through(BIG, BIG.options())
    lease = await line.lease()
    assert lease is not None
    assert lease.stage is Stage.GRANTED
    assert lease.request.options == BIG.options()
    assert await line.may_start()
    await line.started()
    assert _stage(broker, lease.id) is Stage.RUNNING


async def test_one_waits_and_is_told_the_place(broker: FlakyBroker, threads: Threads) -> None:
    held, told = _hold(broker), list[Place]()
    line = _line(broker, threads, "ana", told)
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await _waiting(told)
    assert (told[-1].position, told[-1].held, told[-1].total) == (1, 1, 1)
    broker.ended(held.id, "stopped")
    for _ in range(2):
        await asyncio.to_thread(broker.tick)
    async with asyncio.timeout(10):
        await passing
    assert _stage(broker, line.lease_id) is Stage.GRANTED


async def test_a_cancel_keeps_the_place_and_leaving_gives_it_up(
    broker: FlakyBroker, threads: Threads
) -> None:
    """The hub that stops cancels; only the person's own cancel is followed by `leave`."""
    _hold(broker)
    told = list[Place]()
    line = _line(broker, threads, "ana", told)
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await _waiting(told)
    passing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await passing
    before = line.lease_id
    assert _stage(broker, before) is Stage.WAITING

    again = _line(broker, threads, "ana", told := [])  # a hub that was started again
    passing = asyncio.create_task(again.pass_through(BIG, BIG.options()))
    await _waiting(told)
    assert again.lease_id == before
    passing.cancel()
    await asyncio.wait([passing])
    await again.leave("cancelled")
    assert _stage(broker, before) is Stage.WITHDRAWN
    await again.leave("cancelled")  # once more does no harm


async def test_a_cancel_while_asking_leaves_nobody_in_the_line(
    broker: FlakyBroker, threads: Threads
) -> None:
    broker.slow = threading.Event()
    calls = Calls(threads)
    line = Line(broker, calls, user="ana", server="", tell=lambda _: None)
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await asyncio.to_thread(broker.asked.wait, 10)
    passing.cancel()
    await asyncio.wait([passing])
    leaving = asyncio.create_task(calls.quiet())
    await asyncio.sleep(0.1)
    assert not leaving.done()
    broker.slow.set()
    await leaving
    assert line.lease_id
    await line.leave("cancelled")
    assert _stage(broker, line.lease_id or broker.history()[0].id) is Stage.DRAINING


async def test_another_choice_is_another_request(broker: FlakyBroker, threads: Threads) -> None:
    _hold(broker)
    old = broker.ask(user="ana", kind=Kind.SERVER, name="", profile="3g.20gb", image=IMAGE)
    line, small = _line(broker, threads, "ana"), Choice("1g.5gb", IMAGE)
    await line.pass_through(small, small.options())
    assert line.lease_id != old.id
    assert _stage(broker, old.id) is Stage.WITHDRAWN


async def test_a_store_without_answer_ends_no_wait(broker: FlakyBroker, threads: Threads) -> None:
    _hold(broker)
    told = list[Place]()
    line = _line(broker, threads, "ana", told)
    broker.away = 3
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await _waiting(told)
    assert broker.away == 0
    passing.cancel()
    await asyncio.wait([passing])


async def test_who_is_put_out_of_the_line_is_told_why(
    broker: FlakyBroker, threads: Threads
) -> None:
    _hold(broker)
    told = list[Place]()
    line = _line(broker, threads, "ana", told)
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await _waiting(told)
    broker.withdraw(line.lease_id, "ended by operator")
    with pytest.raises(Unavailable, match="ended by operator"):
        await passing


async def test_who_was_put_out_by_hand_reads_by_whom_and_why(
    broker: FlakyBroker, threads: Threads
) -> None:
    _hold(broker)
    told = list[Place]()
    line = _line(broker, threads, "ana", told)
    passing = asyncio.create_task(line.pass_through(BIG, BIG.options()))
    await _waiting(told)
    broker.end(line.lease_id, "teacher", "the exam begins")
    with pytest.raises(Unavailable, match="ended by teacher: the exam begins"):
        await passing


async def test_one_asks_in_the_name_of_the_chosen_group(
    broker: FlakyBroker, threads: Threads
) -> None:
    roster = "name,group,role\nana,ai,student\nana,vision,student\nana,old,student\n"
    broker.set_members(parse(roster, "roster"))
    with broker.edges.store.write() as unit:
        old = Group("old", ends=date(2020, 1, 1))
        unit.state = replace(
            unit.state, house=replace(unit.state.house, groups={"old": old}))
    assert groups_of(broker, "ana") == ("ai", "vision")
    chosen = Choice("3g.20gb", IMAGE, group="vision")
    line = _line(broker, threads, "ana")
    await line.pass_through(chosen, chosen.options())
    lease = await line.lease()
    assert lease is not None
    assert lease.request.group == "vision"
    # another choice is another request; none is whatever it was
    for group, other in (("", False), ("vision", False), ("ai", True)):
        before, again = line.lease_id, _line(broker, threads, "ana")
        choice = Choice("3g.20gb" if not other else "1g.5gb", IMAGE, group=group)
        await again.pass_through(choice, choice.options())
        assert (again.lease_id != before) is other
    wrong = Choice("1g.5gb", IMAGE, group="nobody's")
    with pytest.raises(BadInput) as refused:
        await _line(broker, threads, "bo").pass_through(wrong, wrong.options())
    assert refused.value.reason == "group"


async def test_nobody_waits_for_ever(
    broker: FlakyBroker, threads: Threads, tmp_path: Path
) -> None:
    _hold(broker)
    broker.settings = broker.settings.model_copy(update={"waiting_max": 0})
    line = _line(broker, threads, "ana")
    with pytest.raises(Unavailable) as refused:
        await line.pass_through(BIG, BIG.options())
    assert refused.value.reason == "waited-too-long"


async def test_an_unknown_profile_is_refused_and_names_the_known(
    broker: FlakyBroker, threads: Threads
) -> None:
    line, wrong = _line(broker, threads, "ana"), Choice("9g.90gb", IMAGE)
    with pytest.raises(BadInput, match=r"3g\.20gb"):
        await line.pass_through(wrong, wrong.options())
    assert not line.lease_id


async def test_slow_calls_hold_up_nobody_else(threads: Threads) -> None:
    """DockerSpawner's one thread made a fourth person wait for three slow stops."""
    blocked = threading.Event()
    slow = [Calls(threads).store(lambda: blocked.wait(20)) for _ in range(3)]
    async with asyncio.timeout(5):
        assert await Calls(threads).store(lambda: "quick") == "quick"
    assert not any(x.done() for x in slow)
    blocked.set()
    await asyncio.gather(*slow)
