"""What ran since, compared and put into homes: on a real store, with files as runs leave them."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.core.compare import Fate
from hub.core.runs import Run, RunStage
from hub.edge.aside import Aside, TooMuch
from hub.errors import BadInput, NotFound
from hub.mornings import Mornings
from hub.reports import Reports
from tests.floor.desks import Clock
from tests.floor.floors import Floor, floor_at
from tests.notebooks import code, dumped, png, printed, shown

S = RunStage
SIX = datetime(2026, 11, 24, 6, tzinfo=UTC)


class Night:
    """A floor, and runs that are over."""

    def __init__(self, floor: Floor, aside: Aside | None = None) -> None:
        self.floor = floor
        self.clock = Clock()
        self.clock.now = SIX
        self.reports = Reports(floor.batch, aside, clock=self.clock)
        self.written: list[str] = []

    def over(self, id: str, *, ago: float = 1, output: bytes | None = None, **rest: Any) -> Run:
        """A run that has ended `ago` hours before, with its output."""
        ended = self.clock() - timedelta(hours=ago)
        run = replace(Run(
            id=id, user="ana", notebook="n.ipynb", profile="1g.5gb", image="i", parameters={},
            stage=S.SUCCEEDED, asked_at=ended - timedelta(hours=1), folder="runs/n",
            started_at=ended - timedelta(minutes=5), ended_at=ended,
        ), **rest)
        with self.floor.broker.edges.store.write() as unit:
            unit.put_run(run)
        self.floor.batch.files.keep_output(id, output, b"{}")
        return run

    def mornings(self) -> Mornings:
        def written(report: Any, user: str) -> bytes:
            self.written.append(user)
            return f"{user}: {len(report.entries)}".encode()

        return Mornings(self.reports, written, self.clock)

    def home(self, user: str) -> Path:
        return self.floor.broker.edges.homes.ensure(user)


@pytest.fixture(scope="module")
def aside() -> Iterator[Aside]:
    """One for all: importing nbconvert takes seconds."""
    made = Aside()
    yield made
    made.close()


@pytest.fixture
def night(tmp_path: Path, aside: Aside) -> Iterator[Night]:
    with floor_at(tmp_path, timezone="Asia/Seoul", report_at="07:00") as floor:
        yield Night(floor, aside)


# ---- the report ---------------------------------------------------------------------------


def test_ones_own_runs_and_what_they_are_compared_with(night: Night) -> None:
    night.over("before", ago=40)
    night.over("now", ago=1)
    night.over("bos", ago=1, user="bo")
    found = night.reports.report("ana", "24h")
    (one,) = found.entries
    assert (one.run.id, one.before and one.before.id) == ("now", "before")
    assert found.until - found.since == timedelta(hours=24)
    whole = night.reports.report(None, "24h")
    assert {x.run.id: x.before and x.before.id for x in whole.entries} == {
        "now": "before", "bos": None,
    }


def test_what_has_not_ended_is_counted(night: Night) -> None:
    night.floor.submit(user="ana")
    night.floor.submit(user="bo")
    assert sum(night.reports.report("ana", "24h").still.values()) == 1
    assert sum(night.reports.report(None, "24h").still.values()) == 2


def test_times_are_local_and_in_order(night: Night) -> None:
    found = night.reports.report("ana", "2026-11-24", "2026-11-24T12:00")
    assert found.since == datetime(2026, 11, 23, 15, tzinfo=UTC)
    for since, until in (("x", ""), ("1h", "2h"), ("2027-01-01", "")):
        with pytest.raises(BadInput):
            night.reports.report("ana", since, until)


# ---- two notebooks ------------------------------------------------------------------------


def test_two_outputs_are_compared_aside(night: Night) -> None:
    before = night.over("a", output=dumped(
        code("x", "a = 1", printed("1"), shown("image/png", png(extra=b"1"))), code("y", "b"),
    ))
    after = night.over("b", output=dumped(
        code("x", "a = 2", printed("2"), shown("image/png", png(extra=b"2"))),
    ))
    found = night.reports.compare(before, after)
    changed, removed = found.cells
    assert (changed.fate, changed.outputs) == (Fate.CHANGED, True)
    assert [len(x) for x in changed.pictures] == [1, 1]
    assert changed.pictures[1][0].uri.startswith("data:image/png;base64,")
    assert removed.fate is Fate.REMOVED
    assert night.reports.glance(after).pictures == changed.pictures[1]


def test_what_was_compared_is_not_read_again(night: Night) -> None:
    run = night.over("a", output=dumped(code("x", "a")))
    first = night.reports.page(run)
    folder = night.floor.batch.files.folder("a")
    (folder / "output.ipynb").unlink()
    assert night.reports.page(run) == first


def test_a_run_that_tries_again_is_shown_as_it_is_then(night: Night) -> None:
    first = night.over("a", output=dumped(code("x", "first")), stage=S.WAITING, attempt=2)
    assert b"first" in night.reports.page(first)
    last = night.over("a", output=dumped(code("x", "second")), attempt=2)
    assert b"second" in night.reports.page(last)


def test_an_output_that_is_not_there_is_said(night: Night) -> None:
    run = night.over("a")
    other = night.over("b", output=dumped(code("x", "a")))
    for call in (
        lambda: night.reports.compare(run, other), lambda: night.reports.compare(other, run),
        lambda: night.reports.page(run), lambda: night.reports.output(run),
    ):
        with pytest.raises(NotFound, match="not kept"):
            call()


@pytest.mark.parametrize("output", [
    b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 10_000_000,
    b'{"cells": ' + b'{"a":' * 100_000, b'{"cells": [' + b'{"source": "a"},' * 9 + b"]}",
])
def test_what_a_student_put_in_the_notebooks_place_harms_nobody(
    night: Night, output: bytes
) -> None:
    run = night.over("a", output=output)
    for _ in range(2):
        with pytest.raises(TooMuch):
            night.reports.page(run)
    good = night.over("b", output=dumped(code("x", "a")))
    assert b"<main>" in night.reports.page(good)


def test_the_last_lines_are_of_the_error_or_of_the_log(night: Night) -> None:
    error = {"cell": 1, "lines": ["KeyError: 1"]}
    night.over("told", stage=S.FAILED, error=error)
    night.over("untold", stage=S.OUT_OF_MEMORY)
    night.floor.batch.files.keep_log("untold", 1, b"\x1b[31mone\ntwo\xff\n" * 50)
    night.over("silent", stage=S.LOST)
    found = {
        x.run.id: night.reports.lines(x) for x in night.reports.report("ana", "24h").entries
    }
    assert found["told"] == ("KeyError: 1",)
    assert found["untold"][-2:] == ("one", "two\ufffd")
    assert found["silent"] == ()


# ---- in the morning -----------------------------------------------------------------------


def files(home: Path) -> dict[str, str]:
    return {x.name: x.read_text() for x in sorted((home / "runs").glob("*"))}


def test_each_morning_a_file_for_everybody_whose_runs_ended(night: Night) -> None:
    ana, bo, cho = (night.home(x) for x in ("ana", "bo", "cho"))
    night.over("a", ago=3)
    night.over("b", ago=4, user="bo", sweep="s")
    night.over("c", ago=40, user="cho")
    mornings = night.mornings()
    # 07:00 in Seoul is 22:00 UTC: at 06:00 UTC the day's reports are due
    assert mornings.look() == 2
    assert files(ana) == {"report-2026-11-24.html": "ana: 1"}
    assert files(bo) == {"report-2026-11-24.html": "bo: 0"}
    assert not (cho / "runs").exists()
    assert (ana / "runs" / "report-2026-11-24.html").stat().st_uid == 1000


def test_once_a_day_also_where_the_service_starts_anew(night: Night) -> None:
    home = night.home("ana")
    night.over("a", ago=3)
    assert night.mornings().look() == 1
    assert night.mornings().look() == 0
    night.over("b", ago=-2)
    night.clock.now += timedelta(hours=15, minutes=59)
    assert night.mornings().look() == 0
    night.clock.now += timedelta(minutes=2)
    assert night.mornings().look() == 1
    assert files(home) == {
        "report-2026-11-24.html": "ana: 1", "report-2026-11-25.html": "ana: 1",
    }


def test_a_service_that_was_away_for_days_tells_of_all_of_them(night: Night) -> None:
    home = night.home("ana")
    night.mornings().look()
    night.over("a", ago=-20)
    night.over("b", ago=-50)
    night.clock.now += timedelta(days=3)
    assert night.mornings().look() == 1
    assert files(home) == {"report-2026-11-27.html": "ana: 2"}


def test_one_home_that_is_gone_or_full_of_tricks_keeps_nobody_elses_from_being_written(
    night: Night, tmp_path: Path
) -> None:
    for i, user in enumerate(("ana", "bo", "cho", "dan")):
        night.over(f"r{i}", user=user)
    trap = tmp_path / "trap"
    trap.mkdir()
    os.chown(trap, 1000, 1000)
    (night.home("bo") / "runs").symlink_to(trap)
    (night.home("cho") / "runs").write_text("a file")
    dan = night.home("dan")
    assert night.mornings().look() == 1
    assert files(dan) == {"report-2026-11-24.html": "dan: 1"}
    assert list(trap.iterdir()) == []
    assert night.mornings().look() == 0


def test_a_fault_in_one_persons_report_keeps_nobody_elses_from_being_written(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    def written(_: Any, user: str) -> bytes:
        if user == "ana":
            raise OverflowError("int too large to convert to float")
        return user.encode()

    bo = [night.home(x) for x in ("ana", "bo")][1]
    for user in ("ana", "bo"):
        night.over(user, user=user)
    assert Mornings(night.reports, written, night.clock).look() == 1
    assert files(bo) == {"report-2026-11-24.html": "bo"}
    assert "the report of ana cannot be made" in caplog.text


def test_a_broken_mark_is_a_missing_one(night: Night) -> None:
    night.home("ana")
    night.over("a")
    mark = night.floor.broker.settings.data / "reported"
    for content in ("", "yesterday", "2026-11-24", json.dumps({})):
        mark.write_text(content)
        assert night.mornings().look() == 1


def test_never_is_never(tmp_path: Path) -> None:
    with floor_at(tmp_path, report_at="") as floor:
        night = Night(floor)
        night.home("ana")
        night.over("a")
        mornings = night.mornings()
        mornings.start()
        assert mornings.look() == 0
        mornings.stop()
