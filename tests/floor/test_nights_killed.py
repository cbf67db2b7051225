"""`kill -9` at any step, and two services at once: no slot is run twice, and none is left out."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.edge import cron
from tests.edge.conftest import postgres, url  # noqa: F401 - fixtures
from tests.floor.night_worker import BEGIN, END, ZONE, opened, prepare
from tests.house.sources import ROOT


def slots(expr: str) -> Iterator[str]:
    slot = cron.following(expr, ZONE, BEGIN)
    while slot.at < END:
        yield slot.name
        slot = cron.following(expr, ZONE, slot.at)


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(2))
def test_services_that_are_killed_all_the_time_run_each_slot_once(
    url: str, tmp_path: Path, seed: int  # noqa: F811 - the fixture
) -> None:
    found = opened(url, tmp_path)
    store = found.batch.broker.edges.store
    store.upgrade()
    prepare(url, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.floor.night_worker", url, str(tmp_path), str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2, "they died often enough"
    for schedule, runs_each in zip(found.list(), (1, 3), strict=True):
        seen = found.occurrences(schedule.id, limit=100)
        expected = list(slots(schedule.cron))
        assert len(expected) >= 4
        assert sorted(x.slot for x in seen) == sorted(set(expected))
        assert {x.outcome.value for x in seen} == {"run"}
        runs = found.batch.list(limit=1000, schedule=schedule.id)
        assert Counter(x.slot for x in runs) == dict.fromkeys(expected, runs_each)
        for run in runs:
            assert found.batch.files.input(run.input_id)
            assert (run.sweep or run.id) in {x.sweep or x.run for x in seen}
    found.batch.close()
    store.close()
