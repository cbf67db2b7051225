"""A run that has to give its slice back saves, waits again with its age, and is begun once more."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.batch import Batch
from hub.core.lease import Stage, Why
from hub.core.roster import parse
from hub.core.rules import Group
from hub.core.runs import Run, RunStage
from hub.errors import Unavailable
from tests.face.running import until
from tests.floor.floors import Floor, floor_at


def given_back(floor: Floor) -> Run:
    """A run in its line again: it ran, and somebody in front of a screen needed its slice."""
    run = floor.running()
    floor.server()
    floor.tick(2)
    return floor.batch.get(run.id)


def test_a_run_gives_way_and_ends_in_its_second_attempt(floor: Floor) -> None:
    first = floor.running()
    floor.engine.say(first.id, b"madang: cell 3/9\nsaved\n")
    server = floor.server()
    assert floor.stage_of(first.id) is Stage.DRAINING
    floor.batch.tick()
    floor.quiet()
    assert not floor.engine.found[first.id].running, "it was told to stop"
    floor.tick()
    again = floor.batch.get(first.id)
    assert (again.stage, again.attempt, again.started_at) == (RunStage.WAITING, 2, None)
    assert again.message == "somebody in front of a screen needed its slice; it waits again"
    assert floor.batch.logs(first.id).endswith(b"saved\n")
    floor.tick(2)
    assert floor.stage_of(server.id) is Stage.GRANTED
    waits = floor.broker.look(again.lease_id).lease
    assert (waits.stage, waits.request.name) == (Stage.WAITING, first.id)
    assert waits.request.asked_at == first.asked_at
    floor.broker.withdraw(server.id, "enough")
    floor.tick(3)
    running = floor.batch.get(first.id)
    assert (running.stage, running.message) == (RunStage.RUNNING, "")
    floor.engine.say(again.lease_id, b"madang: cell 9/9\nmadang: succeeded 9 cells\n")
    floor.engine.exit(again.lease_id, 0)
    floor.tick(2)
    ended = floor.batch.get(first.id)
    assert (ended.stage, ended.attempt, ended.message) == (RunStage.SUCCEEDED, 2, "9 cells")
    log = floor.batch.logs(first.id)
    assert log.startswith(b"madang: cell 3/9\nsaved\nmadang: cell 9/9")
    assert floor.engine.starts == [first.id, f"{first.id}-2"]
    assert not floor.engine.found
    assert floor.free() == 1


@pytest.mark.parametrize(("code", "oom", "stage"), [
    (0, False, RunStage.SUCCEEDED), (1, False, RunStage.FAILED), (124, False, RunStage.TIMED_OUT),
    (138, False, RunStage.KERNEL_DIED), (137, True, RunStage.OUT_OF_MEMORY),
    # it did not save in time, or had not yet begun to listen
    (137, False, RunStage.WAITING), (143, False, RunStage.WAITING), (75, True, RunStage.WAITING),
])
def test_one_that_had_come_to_its_own_end_has_ended(
    floor: Floor, *, code: int, oom: bool, stage: RunStage
) -> None:
    run = floor.running()
    ends = partial(floor.engine.exit, code=code, oom=oom)
    floor.engine.stop = lambda id, _: ends(id)  # type: ignore[method-assign]
    floor.server()
    floor.tick(2)
    after = floor.batch.get(run.id)
    assert (after.stage, after.exit_code) == (stage, None if stage is RunStage.WAITING else code)
    assert after.attempt == (2 if stage is RunStage.WAITING else 1)


def test_one_that_was_cancelled_does_not_wait_again(floor: Floor) -> None:
    run = floor.running()
    floor.server()
    floor.batch.cancel(run.id, "ana")
    floor.quiet()
    floor.tick(2)
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.message) == (RunStage.CANCELLED, "cancelled by ana")


def test_one_that_is_overdue_does_not_wait_again(floor: Floor) -> None:
    run = floor.running(timeout=60)
    later = datetime.now(UTC) + timedelta(days=1)
    ends = partial(floor.engine.exit, code=75, at=later)
    floor.engine.stop = lambda id, _: ends(id)  # type: ignore[method-assign]
    floor.server()
    floor.tick(2)
    assert floor.stage(run) is RunStage.TIMED_OUT


def test_a_cancel_in_the_line_ends_the_next_attempt_too(floor: Floor) -> None:
    run = given_back(floor)
    floor.tick()
    assert floor.stage_of(run.lease_id) is Stage.WAITING
    floor.batch.cancel(run.id, "ana")
    assert floor.stage_of(run.lease_id) is Stage.WITHDRAWN
    floor.tick(2)
    assert floor.stage(run) is RunStage.CANCELLED
    assert floor.engine.starts == [run.id]


def test_ended_by_a_hand_is_a_cancel_that_lets_it_save(floor: Floor) -> None:
    run = floor.running()
    floor.broker.end(run.id, "the operator", "the room closes")
    assert floor.engine.found[run.id].running
    floor.tick(2)
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.exit_code) == (RunStage.CANCELLED, 75)
    assert ended.message == "ended by the operator: the room closes"
    waits = floor.submit()
    floor.tick()
    floor.broker.end(waits.id, "the operator")
    floor.tick(2)
    assert floor.batch.get(waits.id).message == "ended by the operator"


def test_a_slice_that_goes_before_the_start_is_waited_for_anew(floor: Floor) -> None:
    run = floor.submit()
    lease = floor.broker.look(run.id).lease
    floor.server()
    assert floor.broker.look(run.id).lease.why is Why.PREEMPTED
    floor.batch.mover.start(run, lease)
    assert not floor.engine.starts
    after = floor.batch.get(run.id)
    assert (after.stage, after.attempt) == (RunStage.WAITING, 2)
    floor.tick()
    assert floor.stage_of(after.lease_id) is Stage.WAITING


def test_one_that_docker_does_not_stop_is_removed_and_waits_again(floor: Floor) -> None:
    run = floor.running()
    floor.engine.say(run.id, b"so far\n")

    def deaf(*_: object) -> None:
        raise Unavailable("it does not stop")

    floor.engine.stop = deaf  # type: ignore[method-assign]
    floor.server()
    floor.tick(2)
    assert floor.stage(run) is RunStage.RUNNING
    floor.broker._clock = lambda: datetime.now(UTC) + timedelta(minutes=6)
    floor.tick(2)
    after = floor.batch.get(run.id)
    assert (after.stage, after.attempt) == (RunStage.WAITING, 2)
    assert floor.batch.logs(run.id) == b"so far\n"


def test_it_asks_in_its_groups_name_until_it_may(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.broker.set_members(parse("name,group,role\nana,ml,student\nana,vision,student\n", "r"))
    run = floor.submit()
    in_group = replace(floor.broker.look(run.id).lease, request=replace(
        floor.broker.look(run.id).lease.request, group="vision"
    ))
    monkeypatch.setattr(floor.broker.edges.store, "lease", lambda _: in_group)
    monkeypatch.setattr("hub.allowed.check_disk", full)
    again = floor.batch.mover.update(run.id, lambda r: replace(r, attempt=2))
    floor.broker.end(run.id, "x")
    floor.batch.mover._ask_again(again)
    assert "there is no room" not in floor.batch.get(run.id).message
    monkeypatch.undo()
    monkeypatch.setattr(floor.broker.edges.store, "lease", lambda _: in_group)
    floor.batch.mover._ask_again(again)
    assert floor.broker.state().leases[again.lease_id].request.group == "vision"


def full(*_: object) -> None:
    raise Unavailable("there is no room", reason="disk-full")


@pytest.mark.parametrize("left", [False, True])
def test_it_keeps_what_it_was_once_allowed(floor: Floor, *, left: bool) -> None:
    floor.broker.set_members(parse("name,group,role\nana,ml,student\nbo,ml,student\n", "r"))
    run = floor.running()
    floor.server()
    if left:
        floor.broker.set_members(parse("name,group,role\nana,other,student\n", "r"))
    else:
        with floor.broker.edges.store.write() as unit:
            ended = {"ml": Group("ml", ends=date(2020, 1, 1))}
            unit.state = replace(unit.state, house=replace(unit.state.house, groups=ended))
    floor.tick(4)
    after = floor.batch.get(run.id)
    assert (after.stage, after.attempt) == (RunStage.WAITING, 2)
    assert floor.broker.look(after.lease_id).lease.request.group == "ml"


def test_what_a_dying_service_left_is_cleared(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = floor.running()
    floor.server()
    floor.batch.tick()
    floor.quiet()
    remove = floor.engine.remove

    def refused(_: str) -> None:
        raise Unavailable("Docker is busy")

    monkeypatch.setattr(floor.engine, "remove", refused)
    floor.batch.tick()
    assert floor.batch.get(run.id).attempt == 2
    assert run.id in floor.engine.found
    monkeypatch.setattr(floor.engine, "remove", remove)
    floor.batch.tick()
    floor.quiet()
    assert run.id not in floor.engine.found


def test_a_lease_that_a_cut_short_cancel_has_left_is_withdrawn(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.running()
    waits = floor.submit(user="bo")
    with monkeypatch.context() as dies:
        dies.setattr(floor.broker, "withdraw", lambda *_: None)
        floor.batch.cancel(waits.id, "bo")
    assert floor.stage_of(waits.id) is Stage.WAITING
    floor.batch.tick()
    assert floor.stage_of(waits.id) is Stage.WITHDRAWN


def test_nothing_of_a_run_that_waits_again_goes_however_old_it_is(floor: Floor) -> None:
    run = given_back(floor)
    floor.batch.files.prune(datetime.now(UTC) + timedelta(days=1), {run.id})
    assert floor.batch.files.log(run.id, 1) is not None
    assert floor.batch.files.input(run.id)


# ---- a service that dies all the time ---------------------------------------------------------


class Dead(BaseException):
    """`kill -9`: nothing after it is done."""


class Deadly:
    """Kills the service before or after calls of the store and of Docker, now and then."""

    def __init__(self, floor: Floor, luck: random.Random) -> None:
        self.floor, self.luck, self.armed, self.ticks = floor, luck, False, 0
        for name in ("start_run", "stop", "remove", "logs", "archive"):
            setattr(floor.engine, name, self._deadly(getattr(floor.engine, name)))
        for name in ("ask", "withdraw", "ended", "started"):
            setattr(floor.broker, name, self._deadly(getattr(floor.broker, name)))
        floor.batch = self._batch()

    def _deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def deadly(*args: Any, **rest: Any) -> Any:
            self._perhaps()
            answer = call(*args, **rest)
            self._perhaps()
            return answer

        return deadly

    def _perhaps(self) -> None:
        if self.armed and self.luck.random() < 0.08:
            raise Dead

    def _batch(self) -> Batch:
        made = Batch(self.floor.broker)
        made.mover.update = self._deadly(made.mover.update)  # type: ignore[method-assign]
        return made

    def tick(self) -> None:
        self.armed = True
        self.ticks += 1
        try:
            self.floor.broker.tick()
            self.floor.batch.tick()
            self.floor.quiet()
        except Dead:
            self.floor.quiet()
            self.floor.batch.close()
            self.floor.batch = self._batch()
        finally:
            self.armed = False


@pytest.mark.parametrize("seed", range(6))
def test_no_run_is_lost_or_runs_twice_however_often_the_service_dies(
    tmp_path: Path, seed: int
) -> None:
    luck = random.Random(seed)
    with floor_at(tmp_path, runs_open=9) as floor:
        deadly = Deadly(floor, luck)
        runs = [floor.submit() for _ in range(3)]
        servers: list[str] = []

        def attempts() -> int:
            return max(floor.batch.get(x.id).attempt for x in runs)

        while deadly.ticks < 60 or (attempts() == 1 and floor.batch.open_runs()):
            deadly.tick()
            at_work = [c.lease for c in floor.engine.found.values() if c.running]
            assert len(at_work) <= 1, "one slice"
            assert len(floor.engine.starts) == len(set(floor.engine.starts))
            if luck.random() < 0.25 and not servers:
                servers.append(floor.server().id)
            elif luck.random() < 0.5 and servers:
                floor.broker.withdraw(servers.pop(), "enough")
            elif luck.random() < 0.03 and at_work:
                floor.engine.exit(at_work[0], 0)
        for id in servers:
            floor.broker.withdraw(id, "enough")

        def finished() -> bool:
            floor.tick()
            for c in list(floor.engine.found.values()):
                if c.running and floor.stage_of(c.lease) is Stage.RUNNING:
                    floor.engine.exit(c.lease, 0)
            return all(floor.batch.get(x.id).done for x in runs)

        until(finished, "every run has ended", timeout=90)
        assert {floor.stage(x) for x in runs} == {RunStage.SUCCEEDED}
        floor.tick(3)
        assert not floor.engine.found
        assert floor.free() == 1
