"""Runs on the real engine, in the real image; the cards are simulated."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.lease import Kind
from hub.core.runs import RunStage
from hub.face.ticker import Ticker
from hub.watching import Watching
from tests.edge.docker_fixtures import IMAGE
from tests.face.running import until
from tests.floor.houses import SIZE, House, house_at

pytestmark = pytest.mark.docker
TRAINING = """
import os, pathlib, time
kept = pathlib.Path(os.environ["RUN_DIR"], "checkpoint")
begun = int(kept.read_text()) if os.environ["RESUME"] == "1" else 0
try:
    print("begins at", begun, flush=True)
    time.sleep(0 if begun else 600)
except KeyboardInterrupt:
    kept.write_text("7")
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_at(tmp_path) as made:
        yield made


def test_a_run_gives_way_saves_and_ends_in_its_second_attempt(house: House) -> None:
    run = house.submit(TRAINING, "print('at the end')")
    house.until(lambda: b"begins at 0" in house.batch.logs(run.id), "it is at work")
    server = house.broker.ask(user="bo", kind=Kind.SERVER, name="", profile=SIZE, image=IMAGE)
    house.until(lambda: house.batch.get(run.id).attempt == 2, "it gave way")
    house.until(lambda: house.broker.look(server.id).lease.live, "bo has the slice")
    assert house.batch.get(run.id).stage is RunStage.WAITING
    house.broker.withdraw(server.id, "enough")
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    ended = house.batch.get(run.id)
    assert (ended.stage, ended.attempt) == (RunStage.SUCCEEDED, 2), house.batch.logs(run.id)
    folder = house.home() / run.folder
    assert sorted(x.name for x in folder.iterdir()) == [
        "checkpoint", "lab.attempt-1.ipynb", "lab.ipynb", "run.attempt-1.json", "run.json",
    ]
    assert json.loads((folder / "run.attempt-1.json").read_text())["stage"] == "interrupted"
    record = json.loads((folder / "run.json").read_text())
    assert (record["lease"], record["attempt"]) == (f"{run.id}-2", 2)
    log = house.batch.logs(run.id).decode()
    assert log.index("begins at 0") < log.index("attempt 2") < log.index("begins at 7")
    house.until(lambda: not house.broker.edges.engine.containers(), "nothing is left")


def test_a_module_in_the_home_is_not_imported_in_place_of_pythons(house: House) -> None:
    mine = house.home() / "json.py"
    mine.write_text("raise SystemExit('a json.py of the student')")
    os.chown(mine, 1000, 1000)
    run = house.submit("print('it ran')")
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    assert house.batch.get(run.id).stage is RunStage.SUCCEEDED, house.batch.logs(run.id)


def test_runs_follow_each_other_without_waiting_for_a_tick(house: House) -> None:
    ticker = Ticker(house.broker, house.batch, 3600, lambda: True)
    watching = Watching(house.broker.edges.engine, ticker.wake)
    house.batch.mover.wake = ticker.wake
    ticker.start()
    watching.start()
    try:
        until(lambda: ticker.age is not None, "the first tick; the next one comes in an hour")
        asked = [house.submit("print(1)"), house.submit("print(2)")]
        until(lambda: all(house.batch.get(x.id).done for x in asked), "both have ended", timeout=90)
    finally:
        watching.stop()
        ticker.stop()
    first, second = (house.batch.get(x.id) for x in asked)
    assert (first.stage, second.stage) == (RunStage.SUCCEEDED, RunStage.SUCCEEDED)
    assert first.ended_at is not None
    assert second.started_at is not None
    assert first.ended_at <= second.started_at, "there is one slice"
