"""Ends that a retry can mend, what a run came to, and repeating it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from madang.job import read_job

from hub.core.lease import State
from hub.core.runs import Run, RunStage
from hub.edge.engine import Container
from hub.errors import BadInput, NotFound, Refusal, Unavailable
from tests.face.running import NOTEBOOK
from tests.floor.floors import Floor, MovedClock, ends, floor_at

S = RunStage


@pytest.fixture
def time(floor: Floor) -> MovedClock:
    return MovedClock(floor)


# ---- tries after a loss -------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "oom", "stage"), [
    (1, False, S.FAILED), (2, False, S.FAILED), (124, False, S.TIMED_OUT),
    (137, True, S.OUT_OF_MEMORY), (138, False, S.KERNEL_DIED), (0, False, S.SUCCEEDED),
])
def test_what_would_come_again_is_not_tried_again(
    floor: Floor, *, code: int, oom: bool, stage: RunStage
) -> None:
    run = floor.running(retries=2)
    floor.engine.exit(run.id, code, oom=oom)
    floor.batch.tick()
    assert floor.stage(run) is stage


def test_a_killed_container_is_tried_again_after_a_while_and_then_no_more(
    floor: Floor, time: MovedClock
) -> None:
    run = floor.running(retries=2)
    lined_at = floor.batch.get(run.id).lined_at
    for attempt, minutes in ((2, 1), (3, 5)):
        floor.engine.exit(floor.batch.get(run.id).lease_id, 137, at=time.now)
        floor.tick(2)
        again = floor.batch.get(run.id)
        assert (again.stage, again.attempt, again.retries) == (S.PLANNED, attempt, 3 - attempt)
        assert again.message == "killed from outside; it is tried once more"
        assert again.not_before == time.now + timedelta(minutes=minutes)
        time.passes(minutes=minutes, seconds=1)
        floor.tick(2)
        assert floor.stage(run) is S.RUNNING
        assert floor.broker.state().leases[again.lease_id].request.asked_at == lined_at
    floor.engine.exit(f"{run.id}-3", 143, at=time.now)
    floor.tick()
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.retried, ended.retries) == (S.LOST, 2, 0)


def test_a_container_that_vanished_is_tried_again(floor: Floor, time: MovedClock) -> None:
    run = floor.running(retries=1)
    del floor.engine.found[run.id]
    floor.tick(2)
    assert (floor.stage(run), floor.batch.get(run.id).attempt) == (S.PLANNED, 2)
    floor.tick()
    assert floor.free() == 1, "nobody holds the slice meanwhile"


@pytest.mark.parametrize(("error", "stage"), [
    (Unavailable("The GPU was not given to the container: x", reason="pin-refused"), S.PLANNED),
    (OSError("Input/output error"), S.PLANNED),
    (BadInput("no such thing", reason="geometry"), S.FAILED),
])
def test_a_start_that_fails_is_tried_again_where_that_can_help(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, error: Exception, stage: RunStage
) -> None:
    run = floor.submit(retries=1)

    def fails(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(floor.engine, "start_run", fails)
    floor.tick()
    assert floor.stage(run) is stage
    assert "could not start" in floor.batch.get(run.id).message


def test_a_tick_that_began_before_a_start_failed_leaves_the_next_try_alone(
    floor: Floor, time: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = floor.submit(retries=2)
    lease, state = floor.broker.look(run.id).lease, floor.broker.state

    def fails(*_: object, **__: object) -> str:
        raise OSError("No space left on device")

    monkeypatch.setattr(floor.engine, "start_run", fails)

    def late() -> State:
        """The tick has read its runs; the start that is under way fails now."""
        monkeypatch.setattr(floor.broker, "state", state)
        floor.batch.mover.start(run, lease)
        return state()

    monkeypatch.setattr(floor.broker, "state", late)
    floor.batch.tick()
    after = floor.batch.get(run.id)
    assert (after.stage, after.attempt, after.retries) == (S.PLANNED, 2, 1)
    floor.batch.mover._not_started(run, OSError("the same, told twice"))
    assert floor.batch.get(run.id) == after


SEEN: dict[str, Callable[[Container], Container | None]] = {
    "none": lambda _: None,
    "killed": lambda x: replace(x, running=False, exit_code=137, finished_at=x.started_at),
    "well": lambda x: replace(x, running=False, exit_code=0, finished_at=x.started_at),
    "at work": lambda x: x,
}


@pytest.mark.parametrize("seen", SEEN)
def test_what_was_seen_of_one_try_changes_nothing_of_the_next(
    floor: Floor, time: MovedClock, seen: str
) -> None:
    before = floor.batch.get(floor.running(retries=2).id)
    container = floor.engine.found[before.id]
    floor.engine.say(before.id, b"madang: cell 3/9\n")
    floor.engine.exit(before.id, 137, at=time.now)
    floor.tick(2)
    time.passes(minutes=2)
    floor.tick(3)
    now = floor.batch.get(before.id)
    assert (now.stage, now.attempt, now.retries) == (S.RUNNING, 2, 1)
    found = SEEN[seen](container)
    floor.batch.mover._move(before, {before.id: found} if found else {}, floor.broker.state())
    floor.quiet()
    assert floor.batch.get(before.id) == now
    assert floor.engine.found[now.lease_id].running


def test_a_cancel_ends_the_tries(floor: Floor, time: MovedClock) -> None:
    run = floor.running(retries=5)
    floor.batch.cancel(run.id, "ana")
    floor.quiet()
    floor.tick(2)
    assert floor.stage(run) is S.CANCELLED
    other = floor.running(retries=5)
    floor.engine.exit(other.id, 137, at=time.now)
    floor.tick()
    assert floor.batch.cancel(other.id, "ana").stage is S.CANCELLED
    time.passes(hours=1)
    floor.tick(2)
    assert floor.engine.starts == [run.id, other.id]


# ---- what it came to ----------------------------------------------------------------------------


def written(run: Run, **rest: Any) -> bytes:
    return json.dumps({"id": run.id, "attempt": run.attempt, **rest}).encode()


def test_results_are_copied_out_of_the_container_when_it_has_ended(floor: Floor) -> None:
    run = floor.running()
    floor.engine.files = {
        (run.id, "run.json"): written(
            run, metrics={"loss": 0.5, "nan": float("nan")}, error=None, packages={"numpy": "2"},
            resources={"peak_rss_mib": 70, "gpu_memory_peak_mib": None},
        ),
        (run.id, "n.ipynb"): b'{"cells": []}',
    }
    floor.engine.say(run.id, b"madang: progress 3/10\nmadang: cell 1/1\nmadang: succeeded\n")
    ends(floor, run)
    ended = floor.batch.get(run.id)
    assert (ended.metrics, ended.memory_peak_mib) == ({"loss": 0.5, "nan": "nan"}, 70)
    assert (ended.steps_done, ended.steps, ended.error) == (3, 10, None)
    assert ended.digest == "sha256:0"
    assert floor.batch.files.output(run.id) == b'{"cells": []}'
    assert floor.batch.files.record(run.id)["packages"] == {"numpy": "2"}
    assert floor.engine.found == {}


@pytest.mark.parametrize("name", ["x.ipynb.ipynb", "n.ipynb", "밤.v2.ipynb", "v2.1"])
def test_the_runner_writes_the_notebook_where_it_is_looked_for(
    floor: Floor, tmp_path: Path, name: str
) -> None:
    run = floor.running(name=name)
    job = tmp_path / "job.json"
    job.write_bytes(floor.engine.specs[-1].files["/run/madang/job.json"])
    floor.engine.files = {
        (run.id, "run.json"): written(run), (run.id, f"{read_job(job).name}.ipynb"): b"{}",
    }
    ends(floor, run)
    assert floor.batch.files.output(run.id) == b"{}"


@pytest.mark.parametrize("record", [
    b"", b"{", b"[]", b'{"id": "another", "attempt": 1}', b'{"id": "%s", "attempt": 7}',
    b"\xff\xfe", b"[" * 100_000,
])
def test_a_run_json_that_is_not_this_attempts_changes_nothing(
    floor: Floor, record: bytes
) -> None:
    run = floor.running()
    floor.engine.files[run.id, "run.json"] = record.replace(b"%s", run.id.encode())
    floor.engine.files[run.id, "n.ipynb"] = b"{}"
    ends(floor, run)
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.metrics) == (S.SUCCEEDED, {})
    assert floor.batch.files.output(run.id) is None


def test_a_docker_that_cannot_read_files_holds_up_no_end_for_ever(
    floor: Floor, time: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = floor.running()
    floor.engine.exit(run.id, 0, at=time.now)
    monkeypatch.setattr(floor.engine, "archive", floor.engine.fail)
    floor.tick()
    assert floor.stage(run) is S.RUNNING, "it may answer a little later"
    time.passes(minutes=2)
    floor.tick()
    assert floor.stage(run) is S.SUCCEEDED


# ---- once more ----------------------------------------------------------------------------------


def test_a_rerun_repeats_what_was_kept(floor: Floor) -> None:
    run = floor.running(parameters={"epochs": 3}, timeout=60, cwd="work", retries=1)
    ends(floor, run, 1)
    again = floor.batch.rerun(run.id, {})
    assert again.differs == ()
    assert again.run.id != run.id
    for same in ("user", "notebook", "parameters", "profile", "image", "timeout", "cwd", "retries"):
        assert getattr(again.run, same) == getattr(run, same)
    floor.tick()
    assert json.loads(floor.batch.files.input(again.run.id)) == NOTEBOOK


def test_a_rerun_says_what_will_differ(floor: Floor) -> None:
    run = floor.running(profile="1g.5gb")
    floor.engine.files[run.id, "run.json"] = written(run, packages={"numpy": "1", "torch": "2"})
    ends(floor, run)
    floor.engine.digest = "sha256:1"
    newer = floor.running(profile="1g.5gb")
    floor.engine.files[newer.id, "run.json"] = written(newer, packages={"numpy": "2", "torch": "2"})
    ends(floor, newer)
    again = floor.batch.rerun(run.id, {"epochs": 5}, profile="3g.20gb")
    assert [str(x) for x in again.differs] == [
        "epochs is 5; it was None.", "The slice is a 3g.20gb; it was a 1g.5gb.",
        "The image is another build: sha256:1; it was sha256:0.", "Packages: numpy 1 → 2.",
    ]
    assert again.run.parameters == {"epochs": 5}


def test_a_rerun_of_a_point_of_a_sweep_has_the_sweeps_input(floor: Floor) -> None:
    made = floor.batch.sweep(floor.wanted(sweep={"epochs": [1, 2]}))
    again = floor.batch.rerun(made.runs[1].id, {})
    assert (again.run.parameters, again.run.sweep) == ({"epochs": 2}, "")
    assert json.loads(floor.batch.files.input(again.run.id)) == NOTEBOOK


def test_what_is_kept_no_more_cannot_be_repeated(floor: Floor) -> None:
    run = floor.running()
    ends(floor, run)
    floor.batch.files.prune(datetime.now(UTC) + timedelta(days=1), set())
    with pytest.raises(NotFound, match="kept no more"):
        floor.batch.rerun(run.id, {})
    with pytest.raises(BadInput, match="does not know the parameter"):
        floor.batch.rerun(floor.submit().id, {"unknown": 1})


# ---- limits -------------------------------------------------------------------------------------


def test_a_folder_comes_with_the_notebook_into_the_container(tmp_path: Any) -> None:
    with floor_at(tmp_path, snapshot_mib=1) as floor:
        specs = floor.engine.specs
        plain, run = floor.submit(profile="1g.5gb"), floor.submit(snapshot=b"\x1f\x8bfolder")
        floor.tick()
        files = {x.labels["madang.lease"]: x.files for x in specs}
        assert files[run.id]["/run/madang/input.tar.gz"] == b"\x1f\x8bfolder"
        assert json.loads(files[run.id]["/run/madang/job.json"])["snapshot"] == (
            "/run/madang/input.tar.gz"
        )
        assert json.loads(files[plain.id]["/run/madang/job.json"])["snapshot"] is None
        with pytest.raises(Refusal, match="1 MiB packed") as caught:
            floor.submit(snapshot=b"\x1f\x8b" + b"0" * (1 << 20))
        assert (caught.value.status, caught.value.reason) == (413, "too-large")
        again = floor.batch.rerun(run.id, {}).run
        assert floor.batch.files.snapshot(again.id) == b"\x1f\x8bfolder"


def test_a_notebook_in_korean_is_not_larger_than_it_is(floor: Floor) -> None:
    def book(letters: int) -> dict[str, Any]:
        cell = {"cell_type": "markdown", "metadata": {}, "source": "가" * letters}
        return NOTEBOOK | {"cells": [cell]}

    floor.submit(notebook=book(300_000))
    with pytest.raises(Refusal, match="more than 1 MiB"):
        floor.submit(notebook=book(400_000))
