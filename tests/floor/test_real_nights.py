"""Schedules, retries and results on the real engine, in the real image; the cards are simulated."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.core.runs import RunStage
from hub.core.schedules import Plan
from hub.occurring import Occurring
from hub.schedules import Schedules
from tests.floor.houses import House, house_at

pytestmark = [pytest.mark.docker, pytest.mark.slow]
S = RunStage


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_at(tmp_path) as made:
        yield made


def test_a_run_is_read_back_when_it_has_ended(house: House) -> None:
    run = house.submit("print('loss', 0.25)\nprint('{\"loss\": 0.25}')", "1 / 0")
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    ended = house.batch.get(run.id)
    assert (ended.stage, ended.exit_code) == (S.FAILED, 1)
    assert ended.error is not None
    assert (ended.error["cell"], ended.error["ename"]) == (2, "ZeroDivisionError")
    assert ended.memory_peak_mib
    assert ended.digest == house.broker.edges.engine.images()[ended.image]
    output = json.loads(house.batch.files.output(run.id) or b"")
    assert "loss 0.25" in json.dumps(output["cells"])
    record = house.batch.files.record(run.id)
    assert (record["id"], record["stage"], record["image_digest"]) == (
        run.id, "failed", ended.digest)
    again = house.batch.rerun(run.id, {})
    assert again.differs == ()


def test_a_killed_run_begins_again_after_a_while(house: House) -> None:
    run = house.submit(
        "import os, time\nprint('attempt', flush=True)\n"
        "time.sleep(0 if os.path.exists('/home/student/second') else 600)", retries=1,
    )
    house.until(lambda: b"attempt" in house.batch.logs(run.id), "it is at work")
    (id,) = [x.id for x in house.broker.edges.engine.containers()]
    house.broker.edges.engine._docker.api.kill(id)
    house.until(lambda: house.batch.get(run.id).stage is S.PLANNED, "it is tried again")
    assert house.batch.get(run.id).attempt == 2
    (house.home() / "second").touch()
    house.until(lambda: not house.broker.edges.engine.containers(), "nothing of it is left")
    clock = house.batch.mover.clock
    house.batch.mover.clock = lambda: clock() + timedelta(minutes=2)
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    assert house.batch.get(run.id).stage is S.SUCCEEDED, house.batch.logs(run.id)


def test_a_schedule_runs_a_notebook_and_its_sweep(house: House) -> None:
    schedules = Schedules(house.batch)
    wanted = house.wanted("# parameters\nx = 0", "print('x is', x)", sweep={"x": [1, 2]})
    wanted.notebook["cells"][0]["metadata"]["tags"] = ["parameters"]
    made = schedules.add(wanted, Plan("nightly", "0 2 * * *", "Asia/Seoul"))
    assert made.next_at is not None
    due = made.next_at + timedelta(seconds=1)
    clock, began = house.batch.mover.clock, house.batch.mover.clock()
    house.batch.mover.clock = lambda: due + (clock() - began)
    Occurring(schedules).tick()
    (seen,) = schedules.occurrences(made.id)
    house.until(
        lambda: house.batch.get_sweep(seen.sweep).counts == {S.SUCCEEDED: 2}, "both have ended"
    )
    for i, run in enumerate(house.batch.get_sweep(seen.sweep).runs, 1):
        assert f"x is {i}".encode() in house.batch.logs(run.id)
        assert run.folder.startswith(f"runs/{seen.slot[:10]}-lab-")
        assert (house.home() / run.folder / "lab.ipynb").exists()
