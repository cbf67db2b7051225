"""Containers that Docker cannot remove: no tick waits for it, and it is not asked at each."""

import logging
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from hub.core.lease import Lease, Limits, Stage
from hub.edge.engine import Container
from hub.errors import Unavailable
from tests.face.running import until
from tests.floor.desks import BIG, SMALL, Clock, ask
from tests.floor.floors import Floor
from tests.floor.test_stopping import up


class Stuck:
    """A Docker that has still to answer to a removal, or that refuses it."""

    def __init__(self, floor: Floor) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.refuses = False
        self._really = floor.engine.remove
        floor.engine.remove = self.remove  # type: ignore[method-assign]

    def remove(self, lease: str) -> None:
        self.asked.append(lease)
        if self.refuses:
            raise Unavailable("could not kill container: did not receive an exit event")
        self.answers.wait()
        self._really(lease)


@pytest.fixture
def stuck(floor: Floor) -> Iterator[Stuck]:
    made = Stuck(floor)
    yield made
    made.answers.set()


def stray(floor: Floor, id: str = "stray") -> None:
    """A container without a lease, which is removed as soon as it is seen."""
    floor.engine.found[id] = Container(
        id=id, name=id, lease=id, kind="server", user="ana", image="i", running=True,
    )


def left(floor: Floor, user: str, profile: str) -> Lease:
    """A server whose lease has ended and whose container runs on."""
    lease = up(floor, ask(floor.broker, user, profile))
    floor.broker.ended(lease.id, "stopped")
    return lease


def test_ticks_and_grants_go_on_while_docker_has_still_to_answer(
    floor: Floor, stuck: Stuck
) -> None:
    held = left(floor, "ana", BIG)
    for _ in range(3):
        floor.broker.tick()
    until(lambda: stuck.asked, "it is asked")
    assert ask(floor.broker, "bo", SMALL).stage is Stage.GRANTED
    waits = ask(floor.broker, "cho", BIG)
    floor.broker.tick()
    assert floor.broker.look(waits.id).lease.stage is Stage.WAITING, "its container is there"
    assert floor.stage_of(held.id) is Stage.DRAINING
    assert stuck.asked == [held.id], "never two at once"
    stuck.answers.set()
    floor.removed()
    floor.broker.tick()
    assert floor.stage_of(held.id) is Stage.RELEASED
    assert floor.stage_of(waits.id) is Stage.GRANTED


def test_one_that_is_stuck_keeps_no_other_waiting(floor: Floor, stuck: Stuck) -> None:
    stray(floor)
    floor.broker.tick()
    until(lambda: stuck.asked, "it is asked")
    for n in range(6):
        stray(floor, f"other-{n}")
    floor.broker.tick()
    until(lambda: len(stuck.asked) == 7, "all are asked")


def test_a_quarantined_slice_comes_back_when_its_container_is_gone_at_last(
    floor: Floor, stuck: Stuck, clock: Clock
) -> None:
    held = left(floor, "ana", BIG)
    floor.broker.tick()
    clock.passes(seconds=Limits().dirty.total_seconds() + 1)
    floor.broker.tick()
    assert floor.stage_of(held.id) is Stage.QUARANTINED
    stuck.answers.set()
    floor.removed()
    floor.broker.tick()
    assert floor.stage_of(held.id) is Stage.RELEASED
    assert floor.free() == 1


def test_a_removal_that_fails_is_tried_again_after_a_pause_that_grows(
    floor: Floor, stuck: Stuck, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    stuck.refuses = True
    stray(floor)
    asked_at: list[int] = []
    with caplog.at_level(logging.WARNING, "madang.stop"):
        for second in range(0, 1800, 2):
            before = len(stuck.asked)
            floor.broker.tick()
            floor.removed()
            if len(stuck.asked) > before:
                asked_at.append(second)
            clock.passes(seconds=2)
    pauses = [b - a for a, b in pairwise(asked_at)]
    assert all(b >= a for a, b in pairwise(pauses)), pauses
    assert 5 <= pauses[0] <= 8
    assert 300 <= pauses[-1] <= 304
    assert len(asked_at) < 15
    assert len(caplog.records) == len(asked_at)


def test_a_failure_is_forgotten_when_the_container_is_gone(
    floor: Floor, stuck: Stuck, clock: Clock
) -> None:
    def tick() -> int:
        floor.broker.tick()
        floor.removed()
        clock.passes(seconds=1)
        return len(stuck.asked)

    stuck.refuses = True
    stray(floor)
    assert [tick(), tick()] == [1, 1]
    floor.engine.away = True  # that Docker says nothing is no sign that it is gone
    assert tick() == 1
    floor.engine.away = False
    assert tick() == 1
    del floor.engine.found["stray"]
    assert tick() == 1
    stray(floor)
    assert tick() == 2
    stuck.refuses = False
    stuck.answers.set()
    clock.passes(minutes=1)
    tick()
    assert not floor.engine.found
