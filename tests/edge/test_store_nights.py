"""Planned runs, sweeps, schedules and their occurrences in the store, on both databases."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.once import Once, Taken
from hub.core.planning import Planned
from hub.core.runs import Run, RunStage
from hub.core.schedules import Occurrence, Outcome, Overlap, Schedule
from hub.edge import tables
from hub.edge.store import Store
from tests.edge.store_facts import NOW, run, statements

S = RunStage
HOUR = timedelta(hours=1)


def schedule(id: str = "s1", **rest: Any) -> Schedule:
    given: dict[str, Any] = {
        "user": "kim", "name": "밤", "cron": "0 2 * * *", "zone": "Asia/Seoul",
        "notebook": "n.ipynb", "profile": "1g.5gb", "made_at": NOW, "seen": NOW,
        "next_at": NOW + HOUR,
    }
    return Schedule(id, **(given | rest))


def occurrence(slot: str, id: str = "s1", **rest: Any) -> Occurrence:
    given: dict[str, Any] = {"at": NOW, "made_at": NOW, "outcome": Outcome.RUN}
    return Occurrence(id, slot, **(given | rest))


def put(store: Store, *found: Any) -> None:
    with store.write() as unit:
        for x in found:
            if isinstance(x, Run):
                unit.put_run(x)
            elif isinstance(x, Schedule):
                unit.put_schedule(x)
            else:
                unit.put_occurrence(x)


def test_columns_are_the_fields_in_their_order() -> None:
    for table, kind in (
        (tables.runs, Run), (tables.schedules, Schedule), (tables.occurrences, Occurrence),
    ):
        assert [c.name for c in table.columns] == [f.name for f in fields(kind)]


def test_everything_of_a_planned_run_comes_back_equal(store: Store) -> None:
    full = run(
        "a", stage=S.PLANNED, lined_at=NOW, sweep="w", schedule="s", slot="2026-03-02T02:00",
        not_before=NOW + HOUR, after="b", retries=2, retried=1, metrics={"loss": [1, None]},
        steps_done=3, steps=10, digest="sha256:1", memory_peak_mib=7, gpu_memory_peak_mib=None,
        error={"cell": 3, "lines": ["x"]}, secrets=("TOKEN",), notify=("me", "너"), group="ml",
    )
    put(store, full)
    assert store.run("a") == full
    assert store.runs(user=None) == [full]


def test_planned_runs_with_the_ends_of_what_they_come_after(store: Store) -> None:
    put(
        store, run("a", stage=S.PLANNED, after="x"), run("b", stage=S.PLANNED, after="y"),
        run("c", stage=S.PLANNED, not_before=NOW, schedule="s", slot="t"), run("d"),
        run("x", stage=S.FAILED), run("y", stage=S.RUNNING),
    )
    found, ended = store.planned()
    assert sorted(found, key=lambda x: x.id) == [
        Planned("a", "kim", NOW, None, "x"), Planned("b", "kim", NOW, None, "y"),
        Planned("c", "kim", NOW, NOW, "", "s", "t"),
    ]
    assert ended == {"x": S.FAILED}


def test_counts_and_what_is_in_use(store: Store) -> None:
    assert store.run_counts() == {}
    put(
        store, run("a", stage=S.PLANNED, sweep="w"), run("b", stage=S.PLANNED),
        run("c", stage=S.RUNNING), run("d", stage=S.FAILED), run("e", user="lee"),
    )
    assert store.run_counts() == {S.PLANNED: 2, S.RUNNING: 1, S.WAITING: 1}
    assert store.inputs_in_use() == {"a", "w", "b", "c", "e"}
    with store.write() as unit:
        assert unit.look.counts("kim") == (3, 1)
        assert unit.look.counts("lee") == (1, 1)
        assert unit.look.counts("nobody") == (0, 0)
        assert [x.id for x in unit.look.runs_of("sweep", "w")] == ["a"]


def test_a_unit_reads_one_run_and_not_all(store: Store) -> None:
    put(store, *(run(f"r{i}", stage=S.PLANNED) for i in range(50)), run("done", stage=S.LOST))
    with statements(store) as said, store.write() as unit:
        assert unit.run("r7") == run("r7", stage=S.PLANNED)
        assert unit.run("done") is None
        unit.put_run(run("r7", stage=S.RUNNING))
        unit.drop_run("r8")
        assert (unit.run("r7"), unit.run("r8")) == (run("r7", stage=S.RUNNING), None)
        assert len(unit.runs) == 49
        assert "r8" not in unit.runs
    assert sum("FROM runs" in x for x in said) <= 6
    assert (store.run("r7"), store.run("r8")) == (run("r7", stage=S.RUNNING), None)


def test_sweeps_newest_first_with_their_stages(store: Store) -> None:
    put(
        store, run("a", sweep="old", stage=S.FAILED), run("b", sweep="old", stage=S.FAILED),
        run("c", sweep="old"), run("d", sweep="new", asked_at=NOW + HOUR), run("e"),
        run("f", sweep="theirs", user="lee", asked_at=NOW + 2 * HOUR),
    )
    found = store.sweeps(user="kim")
    assert [(x.sweep, x.stage, n) for x, n in found if x.sweep == "new"] == [
        ("new", S.WAITING, 1)]
    assert {(x.stage, n) for x, n in found if x.sweep == "old"} == {(S.FAILED, 2), (S.WAITING, 1)}
    assert next(x.sweep for x, _ in found) == "new"
    assert {x.sweep for x, _ in store.sweeps(user=None, limit=1)} == {"theirs"}
    assert store.sweeps(user="nobody") == []
    assert [x.id for x in store.runs(user=None, sweep="old")] == ["c", "b", "a"]


def test_schedules_come_back_equal_and_by_name(store: Store) -> None:
    full = schedule(
        "s2", name="a", parameters={"lr": 0.1}, sweep={"seed": [1, 2]}, image="i", cwd="w",
        timeout=9, retries=3, catch_up=6, overlap=Overlap.QUEUE, paused=True, notify=("me",),
        secrets=("T",), group="ml", source="file:schedules.toml", next_at=None,
    )
    put(store, schedule(), full, schedule("s3", user="lee"))
    assert store.schedules(user="kim") == [full, schedule()]
    assert store.schedules(source="file:schedules.toml") == [full]
    assert store.schedule("s2") == full
    assert store.schedule("s2", user="lee") is None
    assert store.schedule("s9") is None
    put(store, replace(full, paused=False))
    assert store.schedule("s2") == replace(full, paused=False)
    with store.write() as unit:
        assert unit.look.schedule("s2") == replace(full, paused=False)
        unit.drop_schedule("s2")
    assert store.schedule("s2") is None


def test_schedules_that_are_due(store: Store) -> None:
    put(
        store, schedule("now", next_at=NOW), schedule("late", next_at=NOW - HOUR),
        schedule("later"), schedule("paused", next_at=NOW, paused=True),
        schedule("never", next_at=None),
    )
    assert [x.id for x in store.due(NOW)] == ["late", "now"]


def test_a_slot_has_its_turn_once(store: Store) -> None:
    put(store, schedule(), occurrence("2026-03-02T02:00", run="r"))
    with store.write() as unit:
        assert unit.look.has_occurrence("s1", "2026-03-02T02:00")
        assert not unit.look.has_occurrence("s1", "2026-03-03T02:00")
        assert not unit.look.has_occurrence("s2", "2026-03-02T02:00")
    with pytest.raises(sa.exc.IntegrityError):
        put(store, run("twice"), occurrence("2026-03-02T02:00"))
    assert store.run("twice") is None, "its run is not written either"
    assert store.occurrences("s1") == [occurrence("2026-03-02T02:00", run="r")]


def test_occurrences_are_newest_first_and_old_ones_go(store: Store) -> None:
    some = [occurrence(f"2026-03-0{i}T02:00", at=NOW + i * HOUR, message="말") for i in range(1, 6)]
    put(store, schedule(), *some, occurrence("x", id="s2"))
    assert store.occurrences("s1", limit=2) == [some[4], some[3]]
    store.prune(NOW + 3 * HOUR)
    assert store.occurrences("s1") == some[:1:-1]
    with store.write() as unit:
        unit.drop_schedule("s1")
    assert store.occurrences("s1") == []


def test_what_was_made_of_a_key_is_found_until_it_is_old(store: Store) -> None:
    one = Taken(Once("user:민지", "k'-1", "d"), NOW, "r1", "s1")
    other = Taken(Once("user:민지", "k2", "d"), NOW + HOUR, "r2")
    with store.write() as unit:
        assert unit.look.taken(one.once.by, one.once.key) is None
        unit.taken += [one, other]
    assert store.taken("user:민지", "k'-1") == one
    assert store.taken("user:ana", "k'-1") is None
    with store.write() as unit:
        assert unit.look.taken("user:민지", "k2") == other
        unit.drop_run("r1")
    assert store.taken("user:민지", "k'-1") is None, "its run was refused after all"
    store.prune(NOW + 2 * HOUR)
    assert store.taken("user:민지", "k2") is None
