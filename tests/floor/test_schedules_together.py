"""Changes of one schedule at the same time, and what a slot is made of that comes in between."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.schedules import Schedule
from hub.errors import NotFound, Unavailable
from hub.schedules import Schedules
from tests.face.running import NOTEBOOK
from tests.floor.floors import floor_at
from tests.floor.test_schedules import EVENING, Nights

OTHER = NOTEBOOK | {"cells": [NOTEBOOK["cells"][0] | {"source": "seed = 1"}]}
NEW: dict[str, Any] = {"notebook": OTHER, "snapshot": b"new", "parameters": {"seed": 3}}


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with floor_at(tmp_path, runs_open=50, snapshot_mib=1) as floor:
        yield Nights(floor)


@pytest.fixture
def made(nights: Nights) -> Schedule:
    return nights.add(what={"parameters": {"epochs": 3}, "snapshot": b"old"})


@pytest.fixture
def second(nights: Nights) -> Schedules:
    """Those of another service on the same data."""
    return Schedules(nights.floor.batch)


def before(target: object, verb: str, do: Callable[[], Any], monkeypatch: Any) -> None:
    """`do` once, in the moment before this is done."""
    real, todo = getattr(target, verb), [do]

    def then(*args: Any, **rest: Any) -> Any:
        if todo:
            todo.pop()()
        return real(*args, **rest)

    monkeypatch.setattr(target, verb, then)


def after(target: object, verb: str, do: Callable[[], Any], monkeypatch: Any) -> None:
    """`do` in the moment after this was done."""
    real = getattr(target, verb)

    def then(*args: Any, **rest: Any) -> Any:
        found = real(*args, **rest)
        do()
        return found

    monkeypatch.setattr(target, verb, then)


def inputs(nights: Nights, id: str) -> tuple[Any, bytes]:
    files, at = nights.schedules.files, nights.schedules.get(id).input_id
    return json.loads(files.input(at)), files.snapshot(at)


def folders(nights: Nights) -> list[str]:
    return [x.name for x in (nights.floor.broker.settings.data / "schedules").glob("*")]


def test_what_another_changed_meanwhile_stays(
    nights: Nights, made: Schedule, second: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile() -> None:
        second.change(made.id, {"paused": True}, NEW)

    after(nights.schedules, "made", meanwhile, monkeypatch)
    told = nights.schedules.change(made.id, {"name": "renamed"}, {"retries": 2})
    kept = nights.schedules.get(made.id)
    assert told == kept
    assert (kept.name, kept.retries, kept.paused, kept.parameters) == (
        "renamed", 2, True, {"seed": 3})
    assert inputs(nights, made.id) == (OTHER, b"new")


def test_what_was_removed_meanwhile_stays_gone(
    nights: Nights, made: Schedule, second: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(nights.schedules, "made", lambda: second.remove(made.id), monkeypatch)
    with pytest.raises(NotFound):
        nights.schedules.change(made.id, {"name": "renamed"}, NEW)
    assert nights.schedules.list() == []
    assert folders(nights) == []


def test_a_change_that_cannot_be_written_leaves_row_and_notebook(
    nights: Nights, made: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unavailable("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("hub.edge.planned.save_schedules", full)
        with pytest.raises(Unavailable):
            nights.schedules.change(made.id, {}, NEW)
    assert nights.schedules.get(made.id) == made
    assert inputs(nights, made.id) == (NOTEBOOK, b"old")
    # the store's yes may have been lost on its way: pruning takes what no row names
    left = set(folders(nights)) - {made.input_id}
    nights.schedules.change(made.id, {}, NEW)
    assert inputs(nights, made.id) == (OTHER, b"new")
    assert set(folders(nights)) - left == {nights.schedules.get(made.id).input_id}
    nights.schedules.change(made.id, {}, {"notebook": OTHER})
    assert inputs(nights, made.id) == (OTHER, b""), "the folder was the other notebook's"


@pytest.mark.parametrize("moment", ["the files are written", "the row is written"])
def test_a_slot_that_comes_during_a_change_is_all_old_or_all_new(
    nights: Nights, made: Schedule, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.time.now = EVENING + timedelta(hours=8)
    ticks = Thread(target=nights.occurring.tick)

    def slot() -> None:
        ticks.start()
        ticks.join(0.5)

    if moment == "the files are written":
        after(nights.schedules.files, "put_input", slot, monkeypatch)
    else:
        before(nights.schedules.files, "forget", slot, monkeypatch)
    nights.schedules.change(made.id, {}, NEW)
    ticks.join()
    nights.tick()
    (run,) = nights.floor.batch.list()
    files = nights.floor.batch.files
    found = (run.parameters, json.loads(files.input(run.id)), files.snapshot(run.id))
    assert found in (
        ({"epochs": 3}, NOTEBOOK, b"old"), ({"seed": 3}, OTHER, b"new"),
    )


def test_a_slots_runs_are_made_anew_where_another_service_changed_the_schedule(
    nights: Nights, made: Schedule, second: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(
        nights.schedules, "keep_for", lambda: second.change(made.id, {}, NEW), monkeypatch
    )
    nights.at("2026-11-24T02:00")
    assert nights.seen(made) == []
    nights.tick()
    (run,) = nights.floor.batch.list()
    assert run.parameters == {"seed": 3}
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]
    assert len(list((nights.floor.broker.settings.data / "runs").glob("*"))) == 1


class Killed(BaseException):
    """Nothing of the service is done any more, not even what it does after an error."""


@contextmanager
def killed_at(step: int, nights: Nights) -> Iterator[None]:
    """The service dies before this step of those that change a disk or the database."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def then(*args: Any, **rest: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            return real(*args, **rest)

        return then

    engine = nights.floor.broker.edges.store._database._engine
    commit = counted(lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        for owner, verb in (
            (Path, "replace"), (Path, "mkdir"), (Path, "write_bytes"), (Path, "unlink"),
            (shutil, "rmtree"),
        ):
            patch.setattr(owner, verb, counted(getattr(owner, verb)))
        sa.event.listen(engine, "commit", commit)
        try:
            yield
        finally:
            sa.event.remove(engine, "commit", commit)


def test_killed_at_whatever_step_row_and_notebook_are_both_old_or_both_new(
    nights: Nights, made: Schedule
) -> None:
    old: dict[str, Any] = {"notebook": NOTEBOOK, "snapshot": b"old", "parameters": {"epochs": 3}}
    seen = []
    for step in count(1):
        assert step < 30
        nights.schedules.change(made.id, {}, old)
        try:
            with killed_at(step, nights):
                nights.schedules.change(made.id, {}, NEW)
        except Killed:
            pass
        else:
            break
        found = (nights.schedules.get(made.id).parameters, *inputs(nights, made.id))
        assert found in (({"epochs": 3}, NOTEBOOK, b"old"), ({"seed": 3}, OTHER, b"new")), step
        seen.append(found[2])
    assert {*seen} == {b"old", b"new"}
    nights.at("2036-11-24T01:00")
    assert folders(nights) == [nights.schedules.get(made.id).input_id], "what was left aside goes"


def test_a_schedule_from_before_its_row_named_its_folder_runs_and_changes(
    nights: Nights, made: Schedule
) -> None:
    files = nights.schedules.files
    files.folder(made.input_id).rename(files.folder(made.id))
    with nights.floor.broker.edges.store.write() as unit:
        unit.put_schedule(replace(made, input=""))
    nights.at("2026-11-24T02:00")
    assert nights.seen(made) == [("2026-11-24T02:00", "run")]
    nights.schedules.change(made.id, {}, NEW)
    assert inputs(nights, made.id) == (OTHER, b"new")
    assert folders(nights) == [nights.schedules.get(made.id).input_id]
