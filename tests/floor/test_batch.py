"""Runs, tick by tick: whatever is missed, killed or broken, none is forgotten and none lies."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.core.lease import Kind, Stage
from hub.core.roster import parse
from hub.core.runs import RunStage
from hub.edge.engine import Container
from hub.errors import Refusal, Unknown
from tests.face.running import until
from tests.floor.floors import Floor


def test_however_many_looks_are_missed_a_run_ends_as_it_ended(floor: Floor) -> None:
    run = floor.running()
    floor.engine.say(run.id, b"madang: cell 1/1\nmadang: succeeded it is done\n")
    floor.engine.exit(run.id, 0)
    for _ in range(4):
        floor.broker.tick()
    assert run.id in floor.engine.found, "nobody has read yet how it ended"
    assert floor.free() == 0
    floor.batch.tick()
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.exit_code, ended.message) == (RunStage.SUCCEEDED, 0, "it is done")
    assert b"succeeded" in floor.batch.logs(run.id)
    floor.broker.tick()
    assert floor.free() == 1


def test_what_the_tick_removed_after_all_still_tells_how_it_ended(floor: Floor) -> None:
    run = floor.running()
    floor.engine.exit(run.id, 124)
    folder = floor.broker.settings.data / "logs" / "leases"
    folder.mkdir(parents=True)
    (folder / f"{run.id}.log").write_text('{"exit_code": 124, "oom": false}\nits last line\n')
    floor.engine.remove(run.id)
    floor.broker.tick()
    floor.batch.tick()
    assert floor.stage(run) is RunStage.TIMED_OUT
    assert floor.batch.logs(run.id) == b"its last line\n"


def test_a_failure_found_long_after_is_no_time_out(floor: Floor) -> None:
    run = floor.running(timeout=60)
    floor.engine.exit(run.id, 1)
    floor.batch.mover.clock = lambda: datetime.now(UTC) + timedelta(days=1)
    floor.batch.tick()
    assert floor.stage(run) is RunStage.FAILED


def test_a_run_that_we_had_to_stop_timed_out(floor: Floor) -> None:
    run = floor.running(timeout=60)
    floor.batch.mover.clock = lambda: datetime.now(UTC) + timedelta(days=1)
    floor.batch.tick()
    until(lambda: not floor.engine.found[run.id].running, "it is stopped")
    ended = floor.engine.found[run.id]
    floor.engine.found[run.id] = replace(ended, finished_at=floor.batch.mover.clock())
    floor.quiet()
    floor.batch.tick()
    assert floor.stage(run) is RunStage.TIMED_OUT


def test_a_container_that_was_made_and_not_started_is_started(floor: Floor) -> None:
    run = floor.submit()
    floor.engine.found[run.id] = Container(
        id="c", name="c", lease=run.id, kind="run", user="ana", image="i", running=False
    )
    floor.batch.tick()
    until(lambda: floor.stage(run) is RunStage.RUNNING, "the start was finished")


def test_one_runs_trouble_is_its_own(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = floor.running(profile="1g.5gb"), floor.running(profile="1g.5gb", user="bo")
    read = floor.engine.logs

    def logs(id: str, **rest: object) -> bytes:
        if id == bad.id:
            raise ValueError("whatever it may be")
        return read(id, **rest)

    monkeypatch.setattr(floor.engine, "logs", logs)
    floor.engine.exit(bad.id, 0)
    floor.engine.exit(good.id, 0)
    floor.batch.tick()
    assert floor.stage(good) is RunStage.SUCCEEDED
    monkeypatch.undo()
    floor.batch.tick()
    assert floor.stage(bad) is RunStage.SUCCEEDED


def test_a_run_keeps_its_group_where_the_service_dies_before_it_asks(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.broker.set_members(parse("name,group,role\nana,ml,student\nana,vision,student\n", "r"))
    monkeypatch.setattr(floor.batch.mover, "ask", lambda _: None)
    run = floor.submit(group="vision")
    monkeypatch.undo()
    floor.batch.tick()
    assert floor.broker.look(run.id).lease.request.group == "vision"


def test_a_cancel_before_the_container_gives_the_slice_back(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = floor.submit()

    def no_answer(*_: object, **__: object) -> str:
        raise Unknown("Docker is slow")

    monkeypatch.setattr(floor.engine, "start_run", no_answer)
    floor.batch.tick()
    until(lambda: floor.stage(run) is RunStage.STARTING, "it starts")
    floor.batch.cancel(run.id, "ana")
    floor.quiet()
    floor.batch.tick()
    assert floor.stage(run) is RunStage.CANCELLED
    floor.broker.tick()
    assert floor.free() == 1


def test_a_lease_that_was_ended_meanwhile_starts_nothing(floor: Floor) -> None:
    run = floor.submit()
    lease = floor.broker.look(run.id).lease
    assert lease.stage is Stage.GRANTED
    floor.broker.ended(run.id, "ended by the operator")
    floor.batch.mover.start(run, lease)
    assert floor.engine.found == {}
    assert floor.batch.get(run.id).done


def test_a_container_without_a_lease_keeps_its_slice(floor: Floor) -> None:
    key = next(s.key for s in floor.broker.state().free() if s.key.profile == "3g.20gb")
    stray = Container(
        id="c", name="c", lease="stray", kind="server", user="ana", image="i", running=True,
        slice=str(key),
    )
    floor.engine.found["stray"] = stray
    floor.engine.remove = lambda _: None  # type: ignore[method-assign]  # a Docker that is slow
    floor.broker.tick()
    waits = floor.broker.ask(
        user="bo", kind=Kind.SERVER, name="", profile="3g.20gb", image="madang/notebook:latest"
    )
    assert waits.stage is Stage.WAITING
    floor.broker.tick()
    assert floor.broker.look(waits.id).lease.stage is Stage.WAITING
    del floor.engine.found["stray"]
    floor.broker.tick()
    assert floor.broker.look(waits.id).lease.stage is Stage.GRANTED


def test_the_input_of_a_run_is_kept_for_another_time_and_goes_with_its_log(floor: Floor) -> None:
    floor.running()
    waits = floor.submit(user="bo")
    folder = floor.broker.settings.data / "runs" / waits.id
    floor.batch.cancel(waits.id, "bo")
    floor.batch.tick()
    assert (folder / "input.ipynb").exists()
    floor.batch.mover.clock = lambda: datetime.now(UTC) + timedelta(days=31)
    floor.batch.tick()
    assert not folder.exists()


def test_one_person_has_so_many_runs_and_no_more(floor: Floor) -> None:
    runs = [floor.submit() for _ in range(3)]
    with pytest.raises(Refusal, match="3 runs"):
        floor.submit()
    assert len(floor.batch.open_runs()) == 3
    floor.submit(user="bo")
    floor.batch.cancel(runs[-1].id, "ana")
    floor.submit()


def test_old_logs_go_and_young_ones_stay(floor: Floor) -> None:
    data = floor.broker.settings.data
    for name in ("runs/old/log", "runs/young/log", "logs/leases/old.log"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("said")
        if "old" in name:
            os.utime(data / name, (0, 0))
    os.utime(data / "runs" / "old", (0, 0))
    floor.batch.tick()
    assert not (data / "runs" / "old").exists()
    assert not (data / "logs" / "leases" / "old.log").exists()
    assert (data / "runs" / "young" / "log").exists()


def test_docker_that_gives_no_answer_moves_nothing(floor: Floor) -> None:
    run = floor.running()
    before = replace(floor.batch.get(run.id))
    floor.engine.away = True
    floor.batch.tick()
    floor.broker.tick()
    assert floor.batch.get(run.id) == before
    assert floor.free() == 0
    floor.engine.away = False
