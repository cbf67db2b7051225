"""The operator's file of schedules: read when it has changed, refused whole where it is bad."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import schedulefile
from hub.errors import BadInput, Refusal
from hub.schedulefile import ScheduleFile
from tests.face.running import NOTEBOOK
from tests.floor.floors import floor_at
from tests.floor.test_schedules import Nights

GOOD = """\
# ours
[[schedule]]
name = "nightly"
user = "ana"
notebook = "deep/n.ipynb"
cron = "0 2 * * *"
profile = "1g.5gb"
parameters = { epochs = 3 }

[[schedule]]
name = "study"
user = "bo"
notebook = "deep/n.ipynb"
cron = "30 18 * * fri"
zone = "Asia/Seoul"
profile = "3g.20gb"
catch_up = "6h"
overlap = "queue"
[schedule.sweep]
epochs = [1, 2]
"""


class House(Nights):
    """Schedules on a floor, and a file of them."""

    def __init__(self, floor: Any, folder: Path) -> None:
        super().__init__(floor)
        self.path = folder / "schedules.toml"
        (folder / "deep").mkdir(parents=True)
        self.notebook(NOTEBOOK)
        self.file = ScheduleFile(self.schedules, self.path)

    def notebook(self, book: object) -> None:
        (self.path.parent / "deep" / "n.ipynb").write_text(json.dumps(book))

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.read()

    def read(self) -> None:
        for _ in range(3):
            self.file.tick()

    def names(self) -> list[str]:
        return [x.name for x in self.schedules.list()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with floor_at(tmp_path, runs_open=50) as floor:
        yield House(floor, tmp_path / "theirs")


def test_what_stands_in_the_file_is_there_and_what_stands_there_no_more_is_gone(
    house: House,
) -> None:
    house.read()
    assert house.names() == []
    house.write(GOOD)
    nightly, study = house.schedules.list()
    assert (nightly.user, nightly.parameters, nightly.source) == (
        "ana", {"epochs": 3}, "file:schedules.toml")
    assert (study.zone, study.sweep, study.catch_up, study.overlap) == (
        "Asia/Seoul", {"epochs": [1, 2]}, 6, "queue")
    house.add(name="by hand")
    house.write(GOOD.partition("\n\n")[0])
    assert house.names() == ["by hand", "nightly"]
    assert house.schedules.get(nightly.id) == nightly
    house.write("")
    assert house.names() == ["by hand"]


def test_a_file_that_has_not_changed_is_not_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(schedulefile, "read", lambda _: pytest.fail("read again"))
        house.read()


def test_a_slot_stays_had_when_the_file_or_the_service_is_new(house: House) -> None:
    house.write(GOOD)
    house.at("2026-11-24T02:00")
    house.write(GOOD.replace("epochs = 3", "epochs = 4"))
    house.file = ScheduleFile(house.schedules, house.path)
    house.read()
    house.at("2026-11-24T02:00:30")
    nightly = house.schedules.list()[0]
    assert nightly.parameters == {"epochs": 4}
    assert house.seen(nightly) == [("2026-11-24T02:00", "run")]
    assert [x.parameters for x in house.floor.batch.list()] == [{"epochs": 3}]


def test_another_notebook_is_taken_with_the_next_slot(house: House) -> None:
    house.write(GOOD)
    book = NOTEBOOK | {"metadata": {"new": True}}
    house.notebook(book)
    house.read()
    house.at("2026-11-24T02:00")
    run = house.floor.batch.list()[0]
    assert json.loads(house.floor.batch.files.input(run.id)) == book


def _paused(house: House) -> bool:
    return house.schedules.list()[0].paused


def test_a_pause_by_hand_stays_until_the_files_own_changes(house: House) -> None:
    house.write(GOOD)
    nightly = house.schedules.list()[0]
    house.schedules.change(nightly.id, {"paused": True}, {})
    house.time.now += timedelta(hours=1)
    house.file = ScheduleFile(house.schedules, house.path)
    house.read()
    assert _paused(house)
    text = GOOD.replace("epochs = 3", "epochs = 4")
    house.write(text)
    edited = house.schedules.get(nightly.id)
    assert (edited.paused, edited.parameters, edited.made_at) == (
        True, {"epochs": 4}, nightly.made_at)
    house.schedules.change(nightly.id, {"paused": False}, {})
    for own, by_hand in (("true", False), ("false", True)):
        house.write(text.replace('user = "ana"', f'user = "ana"\npaused = {own}', 1))
        assert _paused(house) is not by_hand, "the file's own has changed"
        house.schedules.change(nightly.id, {"paused": by_hand}, {})
        house.file = ScheduleFile(house.schedules, house.path)
        house.read()
        assert _paused(house) is by_hand


def test_what_stands_in_a_file_is_changed_there(house: House) -> None:
    house.write(GOOD)
    nightly = house.schedules.list()[0]
    for change in (({"cron": "0 3 * * *"}, {}), ({}, {"parameters": {}})):
        with pytest.raises(Refusal, match=r"stands in schedules\.toml"):
            house.schedules.change(nightly.id, *change)
    with pytest.raises(Refusal, match=r"stands in schedules\.toml"):
        house.schedules.remove(nightly.id)


@pytest.mark.parametrize(("old", "new", "line", "why"), [
    ('name = "nightly"', "name = nightly", 3, "Invalid value"),
    ('name = "nightly"', 'title = "nightly"', 3, "unknown key 'title'"),
    ('name = "nightly"', "", 2, "name is missing"),
    ('name = "nightly"', 'name = ""', 2, "name is missing"),
    ('name = "nightly"', 'name = "  "', 3, "needs a name"),
    ('name = "nightly"', "name = 3", 3, "name must be a text"),
    ('cron = "0 2 * * *"', 'cron = "0 25 * * *"', 6, "five fields"),
    ('profile = "1g.5gb"', 'profile = "9g.90gb"', 7, "no profile 9g.90gb"),
    ('profile = "1g.5gb"', 'profile = "1g.5gb"\nimage = "evil"', 8, "not allowed"),
    ('profile = "1g.5gb"', 'profile = "1g.5gb"\nretries = true', 8, "a whole number"),
    ('profile = "1g.5gb"', 'profile = "1g.5gb"\nretries = 99', 8, "tried again"),
    ('profile = "1g.5gb"', 'profile = "1g.5gb"\nnotify = ["a", 1]', 8, "a list of texts"),
    ("{ epochs = 3 }", "{ epochs = nan }", 8, "parameters"),
    ("{ epochs = 3 }", "{ epochs = 2026-01-01 }", 8, "parameters"),
    ("{ epochs = 3 }", "{ unknown = 3 }", 8, "does not know the parameter"),
    ("{ epochs = 3 }", "3", 8, "parameters must be a table"),
    ('"Asia/Seoul"', '"Mars/Olympus"', 15, "no time zone"),
    ('catch_up = "6h"', 'catch_up = "soon"', 17, "catch up"),
    ('overlap = "queue"', 'overlap = "both"', 18, "overlap"),
    ("epochs = [1, 2]", "epochs = 1", 19, "a list of values"),
    ("epochs = [1, 2]", "epochs = []", 19, "without values"),
    ('user = "bo"', 'user = "ana"\n[[schedule]]', 10, "notebook is missing"),
    ('name = "study"\nuser = "bo"', 'name = "nightly"\nuser = "ana"', 11, "already, in line 3"),
    ("# ours", "[other]", 1, "unknown key 'other'"),
    ("# ours", 'schedules = "x"', 1, "unknown key 'schedules'"),
    ('"deep/n.ipynb"', '"../n.ipynb"', 5, "beside or below"),
    ('"deep/n.ipynb"', '"/etc/passwd"', 5, "beside or below"),
    ('"deep/n.ipynb"', '"deep/none.ipynb"', 5, "cannot be read"),
])
def test_a_bad_file_is_refused_whole_with_line_and_reason(
    house: House, old: str, new: str, line: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.write(GOOD)
    before = house.schedules.list()
    bad = GOOD.replace(old, new, 1)
    assert bad != GOOD
    with caplog.at_level(logging.ERROR):
        house.write(bad)
    (said,) = [x.getMessage() for x in caplog.records]
    assert said.startswith(f"the schedules are left as they were: schedules.toml, line {line}: ")
    assert why.lower() in said.lower()
    assert house.schedules.list() == before
    caplog.clear()
    house.write(GOOD.replace("epochs = 3", "epochs = 7"))
    assert house.schedules.list()[0].parameters == {"epochs": 7}
    assert not caplog.records


@pytest.mark.parametrize("book", ["", "{", "[]", "{}", '"' + "[" * 100_000])
def test_a_notebook_that_is_none_refuses_the_file(house: House, book: str) -> None:
    (house.path.parent / "deep" / "n.ipynb").write_text(book)
    house.write(GOOD)
    assert house.names() == []
    with pytest.raises(BadInput, match="line 5"):
        schedulefile.read(house.path)


def test_a_file_that_went_away_leaves_its_schedules(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.write(GOOD)
    house.path.unlink()
    for file in (house.file, ScheduleFile(house.schedules, house.path)):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            file.tick()
            file.tick()
        assert len(caplog.records) == 1
        assert house.names() == ["nightly", "study"]


def test_a_file_that_is_no_text_is_refused(house: House) -> None:
    house.path.write_bytes(b"\xff\xfe\x00")
    house.read()
    house.path.unlink()
    house.path.mkdir()
    house.read()
    assert house.names() == []


def test_the_file_that_ships_is_good_and_is_the_demos() -> None:
    shipped = Path(__file__).parents[2] / "notebooks" / "schedules.toml"
    (only,) = schedulefile.read(shipped)
    assert (only.entry.user, only.entry.plan.cron) == ("student1", "0 2 * * *")
