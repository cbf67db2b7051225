"""What was to be told outlives the service, a full disk and a store that is away."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.core.notification import WAITS
from hub.core.runs import Submission
from hub.errors import Unavailable
from tests.edge.answering import Web, web
from tests.face.running import NOTEBOOK, until
from tests.floor.floors import Floor
from tests.floor.telling import Clock, ended, look, notifier, telling_floor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def floor(tmp_path: Path, there: Web) -> Iterator[Floor]:
    with telling_floor(tmp_path, there) as made:
        yield made


def test_a_killed_service_sends_what_it_has_written_down(floor: Floor, there: Web) -> None:
    there.answer, clock = 500, Clock()
    first = notifier(floor, clock)
    run = ended(floor, notify=(there.url,))
    look(first)
    there.answer = 204
    clock.at += WAITS[0]
    second = notifier(floor, clock)
    look(second)
    assert [x.headers["idempotency-key"] for x in there.asked] == [f"{run.id}-0"] * 2
    look(notifier(floor, clock))
    assert len(there.asked) == 2, "what was sent is not sent again"


def test_a_service_killed_before_it_wrote_anything_down_tells_all_the_same(
    floor: Floor, there: Web
) -> None:
    run = ended(floor, notify=(there.url,))
    made = notifier(floor)
    look(made)
    look(notifier(floor))
    assert [x.headers["idempotency-key"] for x in there.asked] == [f"{run.id}-0"]


CHILD = """
import pathlib, sys, time
from tests.floor.floors import floor_at
from tests.floor.telling import ended, notifier
with floor_at(pathlib.Path(sys.argv[1]), notify_hosts=("127.0.0.1:*",)) as floor:
    made = notifier(floor)
    print(ended(floor, notify=(sys.argv[2],)).id, flush=True)
    made.look()
    time.sleep(60)
"""


def test_a_service_that_dies_while_it_sends_has_told_in_the_end(
    tmp_path: Path, there: Web
) -> None:
    there.answer = lambda _: release.wait(20)
    release = threading.Event()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), there.url], cwd=ROOT, text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout
        id = child.stdout.readline().strip()
        until(lambda: there.asked, "it was being told")
    finally:
        child.kill()
        child.communicate()
    release.set()
    there.answer = 204
    with telling_floor(tmp_path, there) as floor:
        look(notifier(floor))
        look(notifier(floor))
    assert [x.headers["idempotency-key"] for x in there.asked] == [f"{id}-0"] * 2


def test_what_ended_long_ago_is_no_news(floor: Floor, there: Web) -> None:
    ended(floor, notify=(there.url,))
    clock = Clock()
    clock.at += timedelta(days=3)
    look(notifier(floor, clock))
    assert there.asked == []


def test_a_store_that_is_away_loses_nothing(
    floor: Floor, there: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = notifier(floor)
    sweep = floor.batch.sweep(Submission(
        "ana", "n.ipynb", NOTEBOOK, {}, "3g.20gb", sweep={"epochs": [1, 2]}, notify=(there.url,),
    ))
    floor.batch.cancel_sweep(sweep.id, "ana")
    with monkeypatch.context() as broken:
        broken.setattr(made._store, "runs", _away)
        with pytest.raises(Unavailable):
            made.look()
    look(made)
    assert len(there.asked) == 1


def _away(*_: object, **__: object) -> None:
    raise Unavailable("the database is away")


def test_a_full_disk_delays_no_telling(floor: Floor, there: Web) -> None:
    (floor.broker.settings.data / "notifications").write_text("no folder")
    made = notifier(floor)
    ended(floor, notify=(there.url,))
    look(made)
    assert len(there.asked) == 1


def test_what_is_on_the_disk_is_roots_alone_and_gone_when_it_was_sent(
    floor: Floor, there: Web
) -> None:
    there.answer, clock = 500, Clock()
    made = notifier(floor, clock)
    run = ended(floor, notify=(f"{there.url}/TOKEN",))
    look(made)
    data = floor.broker.settings.data / "notifications"
    (path,) = data.glob("*.json")
    assert "TOKEN" in path.read_text()
    assert (data.stat().st_mode & 0o77, path.stat().st_mode & 0o77) == (0, 0)
    there.answer = 204
    clock.at += WAITS[0]
    look(made)
    assert [str(x.relative_to(data)) for x in data.rglob("*.json")] == [f"done/{run.id}-0.json"]
    assert (data / "done" / f"{run.id}-0.json").read_text() == ""


def test_a_file_that_is_no_notification_stops_nobody(floor: Floor, there: Web) -> None:
    data = floor.broker.settings.data / "notifications"
    data.mkdir()
    (data / "bad-0.json").write_text('{"id": 3}')
    made = notifier(floor)
    ended(floor, notify=(there.url,))
    look(made)
    assert len(there.asked) == 1
    assert not (data / "bad-0.json").exists()
