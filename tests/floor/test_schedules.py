"""Schedules: what becomes of each slot, whatever the clock does and whoever is killed."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.core.roster import parse
from hub.core.runs import RunStage
from hub.core.schedules import Outcome, Plan, Schedule
from hub.errors import BadInput, NotFound, Refusal
from hub.occurring import Occurring
from hub.schedules import Schedules
from tests.floor.floors import Floor, MovedClock, ends, floor_at

S = RunStage
EVENING = datetime(2026, 11, 23, 18, tzinfo=UTC)


class Nights:
    """Schedules on a floor, and their ticks."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.time = MovedClock(floor)
        self.time.now = EVENING
        self.schedules = Schedules(floor.batch)
        self.occurring = Occurring(self.schedules)

    def add(self, cron: str = "0 2 * * *", what: Any = None, **rest: Any) -> Schedule:
        plan = Plan(**{"name": "nightly", "cron": cron, "zone": "UTC"} | rest)
        return self.schedules.add(self.floor.wanted(**(what or {})), plan)

    def at(self, text: str) -> None:
        """It is this moment (UTC), and the tick comes."""
        self.time.now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        self.tick()

    def tick(self) -> None:
        self.occurring.tick()
        self.floor.tick()

    def seen(self, schedule: Schedule) -> list[tuple[str, str]]:
        """(slot, outcome), oldest first."""
        found = self.schedules.occurrences(schedule.id)
        return [(x.slot, x.outcome.value) for x in reversed(found)]


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with floor_at(tmp_path, runs_open=50) as floor:
        yield Nights(floor)


def test_each_slot_makes_a_run_once(nights: Nights) -> None:
    made = nights.add(what={"parameters": {"epochs": 3}, "retries": 1})
    assert made.next_at == EVENING + timedelta(hours=8)
    nights.at("2026-11-24T01:59")
    assert nights.floor.batch.list() == []
    for _ in range(3):
        nights.at("2026-11-24T02:00:01")
    (run,) = nights.floor.batch.list()
    assert (run.user, run.parameters, run.schedule, run.slot, run.retries) == (
        "ana", {"epochs": 3}, made.id, "2026-11-24T02:00", 1,
    )
    assert run.stage is S.RUNNING
    assert run.folder.startswith("runs/2026-11-24-n-")
    ends(nights.floor, run)
    nights.at("2026-11-25T02:00:01")
    assert nights.seen(made) == [("2026-11-24T02:00", "run"), ("2026-11-25T02:00", "run")]
    assert [x.run for x in nights.schedules.occurrences(made.id)] == [
        x.id for x in nights.floor.batch.list()
    ]


def test_a_slot_that_nobody_was_there_for_is_missed_or_caught_up(nights: Nights) -> None:
    plain, patient = nights.add(), nights.add(name="patient", catch_up="6h")
    nights.at("2026-11-24T07:30")
    assert nights.seen(plain) == [("2026-11-24T02:00", "missed")]
    assert nights.seen(patient) == [("2026-11-24T02:00", "run")]
    nights.at("2026-11-27T08:01")
    assert nights.seen(plain)[-1] == ("2026-11-27T02:00", "missed")
    assert nights.seen(patient)[1:] == [("2026-11-27T02:00", "missed")]
    assert len(nights.floor.batch.list()) == 1


def test_a_service_that_was_started_anew_is_not_late(nights: Nights) -> None:
    made = nights.add()
    nights.at("2026-11-24T02:04:30")
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]


def test_of_many_slots_that_were_missed_only_the_latest_is_run(nights: Nights) -> None:
    made = nights.add("*/10 * * * *", catch_up="24h")
    nights.at("2026-11-24T02:03")
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]


@pytest.mark.parametrize(("overlap", "outcomes"), [
    ("skip", ["run", "skipped", "run"]), ("queue", ["run", "run", "run"]),
    ("replace", ["run", "run", "run"]),
])
def test_what_becomes_of_a_slot_whose_earlier_run_has_not_ended(
    nights: Nights, overlap: str, outcomes: list[str]
) -> None:
    made = nights.add("0 * * * *", overlap=overlap)
    nights.at("2026-11-24T01:00")
    nights.at("2026-11-24T02:00")
    first, later = nights.floor.batch.list()[-1], nights.floor.batch.list()[:-1]
    if overlap == "skip":
        assert not later
        assert nights.schedules.occurrences(made.id)[0].message == (
            f"the earlier run {first.id} had not ended"
        )
    elif overlap == "queue":
        assert (first.stage, later[0].stage) == (S.RUNNING, S.PLANNED)
    nights.tick()
    nights.tick()
    nights.tick()
    if overlap == "replace":
        first = nights.floor.batch.get(first.id)
        assert (first.stage, first.message) == (
            S.CANCELLED, "its schedule's next run has taken its place"
        )
        assert nights.floor.batch.get(later[0].id).stage is S.RUNNING
        ends(nights.floor, later[0])
    else:
        ends(nights.floor, first)
    if overlap == "queue":
        nights.tick()
        nights.tick()
        assert nights.floor.batch.get(later[0].id).stage is S.RUNNING
    nights.at("2026-11-24T03:00")
    assert [x for _, x in nights.seen(made)] == outcomes


def test_a_sweep_at_each_slot_and_its_points_beside_each_other(nights: Nights) -> None:
    made = nights.add(what={"sweep": {"epochs": [1, 2]}, "profile": "1g.5gb"}, overlap="queue")
    nights.at("2026-11-24T02:00")
    nights.tick()
    (seen,) = nights.schedules.occurrences(made.id)
    found = nights.floor.batch.get_sweep(seen.sweep)
    assert (seen.run, found.counts) == ("", {S.RUNNING: 2})
    assert {x.slot for x in found.runs} == {"2026-11-24T02:00"}


def test_what_is_paused_runs_nothing_and_catches_nothing_up(nights: Nights) -> None:
    made = nights.add(catch_up="24h")
    nights.schedules.change(made.id, {"paused": True}, {})
    nights.at("2026-11-24T02:00")
    assert nights.schedules.upcoming(nights.schedules.get(made.id)) == []
    nights.time.now = EVENING + timedelta(hours=10)
    nights.schedules.change(made.id, {"paused": False}, {})
    nights.at("2026-11-24T06:00")
    assert nights.seen(made) == []
    nights.at("2026-11-25T02:00")
    assert nights.seen(made) == [("2026-11-25T02:00", "run")]


def test_run_now_is_beside_the_slots(nights: Nights) -> None:
    made = nights.add()
    (run,) = nights.schedules.run_now(made.id)
    assert (run.schedule, run.slot, run.stage) == (made.id, "", S.WAITING)
    assert nights.seen(made) == []
    nights.at("2026-11-24T02:00")
    assert nights.seen(made) == [("2026-11-24T02:00", "skipped")], "it has not ended"


def test_run_now_takes_other_values_for_this_one_time(nights: Nights) -> None:
    made = nights.add(what={"parameters": {"epochs": 3}})
    (run,) = nights.schedules.run_now(made.id, {"epochs": 9})
    assert (run.parameters, run.schedule) == ({"epochs": 9}, made.id)
    assert nights.schedules.get(made.id) == made
    with pytest.raises(BadInput, match="does not know"):
        nights.schedules.run_now(made.id, {"unknown": 1})
    swept = nights.add(name="swept", what={"sweep": {"epochs": [1, 2]}})
    assert [x.parameters for x in nights.schedules.run_now(swept.id, {"epochs": 2})] == [
        {"epochs": 2}
    ], "what it sweeps has this value alone"


def test_a_change_of_the_time_begins_anew_and_any_other_does_not(nights: Nights) -> None:
    made = nights.add(catch_up="24h")
    nights.time.now = EVENING + timedelta(hours=9)
    nights.schedules.change(made.id, {"name": "other"}, {"parameters": {"epochs": 9}})
    nights.tick()
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]
    assert nights.floor.batch.list()[0].parameters == {"epochs": 9}
    nights.schedules.change(made.id, {"cron": "0 1 * * *"}, {})
    nights.tick()
    assert len(nights.seen(made)) == 1, "01:00 was before the change"


@pytest.mark.parametrize("gone", ["owner", "image", "profile", "notebook", "too many"])
def test_a_slot_whose_run_cannot_be_made_says_why(
    nights: Nights, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nights.add(what={"image": "madang/notebook:latest"})
    floor = nights.floor
    if gone == "owner":
        floor.broker.set_members(parse("name,group,role\nbo,ml,student\n", "r"))
    elif gone == "notebook":
        nights.schedules.files.forget(made.input_id)
    else:
        changed = {"image": {"images": {"other": "x"}}, "too many": {"runs_open": 0}}.get(gone, {})
        floor.batch.settings = floor.batch.settings.model_copy(update=changed)
        if gone == "profile":
            monkeypatch.setattr("hub.core.sizes.offers", lambda _: [_Other()])
    nights.at("2026-11-24T02:00")
    (seen,) = nights.schedules.occurrences(made.id)
    assert seen.outcome is Outcome.REFUSED
    words = {"owner": "roster", "image": "not allowed", "profile": "cut into",
             "notebook": "No such file", "too many": "at most 0"}
    assert words[gone] in seen.message
    assert floor.batch.list() == []
    assert not list((floor.broker.settings.data / "runs").glob("*"))


class _Other:
    profile = "7g.40gb"


def test_a_full_disk_is_waited_for_and_then_missed(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nights.add()
    with monkeypatch.context() as full:
        full.setattr("hub.edge.homes.Homes.free_mib", lambda _: -1)
        nights.at("2026-11-24T02:00")
        assert nights.seen(made) == []
    nights.at("2026-11-24T02:02")
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]


def test_one_schedules_trouble_is_its_own(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = nights.add(), nights.add(name="good", what={"profile": "1g.5gb"})
    runs_of = nights.schedules.runs_of

    def broken(schedule: Schedule, slot: Any) -> Any:
        if schedule.id == bad.id:
            raise ValueError("whatever it may be")
        return runs_of(schedule, slot)

    with monkeypatch.context() as patch:
        patch.setattr(nights.schedules, "runs_of", broken)
        nights.at("2026-11-24T02:00")
    assert nights.seen(good) == [("2026-11-24T02:00", "run")]
    nights.at("2026-11-24T02:01")
    assert nights.seen(bad) == [("2026-11-24T02:00", "run")]


@pytest.mark.parametrize(("plan", "what", "says"), [
    ({"cron": "0 2 * *"}, {}, "five fields"), ({"zone": "Mars/Olympus"}, {}, "time zone"),
    ({"zone": "../../etc/passwd"}, {}, "time zone"), ({"catch_up": "1d"}, {}, "catch up"),
    ({"catch_up": "999h"}, {}, "catch up"), ({"overlap": "both"}, {}, "overlap"),
    ({"name": " "}, {}, "needs a name"), ({"name": "a\nb"}, {}, "needs a name"),
    ({}, {"notebook": {}}, "not a notebook"), ({}, {"image": "evil"}, "not allowed"),
    ({}, {"profile": "9g.90gb"}, "no profile"), ({}, {"sweep": {"epochs": []}}, "values"),
    ({}, {"parameters": {"unknown": 1}}, "does not know"), ({}, {"retries": 99}, "tried again"),
    ({}, {"sweep": {"epochs": list(range(1001))}}, "1001 points"),
])
def test_what_no_schedule_can_be_is_refused_and_nothing_is_kept(
    nights: Nights, plan: dict[str, Any], what: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        nights.add(what=what, **plan)
    assert nights.schedules.list() == []
    assert not list((nights.floor.broker.settings.data / "schedules").glob("*"))
    made = nights.add()
    with pytest.raises(BadInput, match=says):
        nights.schedules.change(made.id, plan, what)
    assert nights.schedules.get(made.id) == made


def test_names_are_ones_own_and_each_once(nights: Nights) -> None:
    made = nights.add()
    nights.add(what={"user": "bo"})
    with pytest.raises(Refusal, match="already"):
        nights.add()
    other = nights.add(name="other")
    with pytest.raises(Refusal, match="already"):
        nights.schedules.change(other.id, {"name": "nightly"}, {})
    nights.schedules.remove(made.id)
    with pytest.raises(NotFound):
        nights.schedules.get(made.id)
    assert not nights.schedules.files.folder(made.input_id).exists()
    nights.add()


def test_what_a_service_left_behind_that_died_while_making_a_schedule_goes(
    nights: Nights,
) -> None:
    made = nights.add()
    stray = nights.schedules.files.folder("stray")
    nights.schedules.files.put_input("stray", {"cells": []})
    nights.tick()
    assert stray.exists(), "it may still be in the making"
    nights.at("2036-11-24T01:00")
    assert not stray.exists()
    assert nights.schedules.files.input(made.input_id)


def test_runs_of_a_schedule_share_a_file_and_go_each_in_its_time(nights: Nights) -> None:
    nights.add()
    folders = []
    for day in (24, 25):
        nights.at(f"2026-11-{day}T02:00")
        run = nights.floor.batch.list()[0]
        folders.append(nights.floor.batch.files.folder(run.id))
        ends(nights.floor, run)
    first, second = (x / "input.ipynb" for x in folders)
    assert first.samefile(second)
    os.utime(folders[0], (0, 0))
    nights.at("2026-11-25T12:00")
    assert [x.exists() for x in folders] == [False, True]
