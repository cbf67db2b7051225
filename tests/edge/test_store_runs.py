import math
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.core.roster import Member, Role
from hub.core.runs import RunStage
from hub.edge.store import Store
from tests.edge.store_facts import NOW, run


def test_runs_come_back_equal_and_newest_first(store: Store) -> None:
    full = run(
        "b", asked_at=NOW + timedelta(seconds=1), stage=RunStage.FAILED, exit_code=1, seed=3,
        parameters={"lr": 0.1, "이름": ["가", None], "deep": {"a": True}}, started_at=NOW,
        ended_at=NOW, cells_done=3, cells=12, message="말", slice="s", commit="c", cwd="w",
        timeout=60,
    )
    with store.write() as unit:
        unit.put_run(run("a", user="lee"))
        unit.put_run(full)
    assert store.runs(user=None) == [full, run("a", user="lee")]
    assert store.runs(user="kim") == [full]
    assert store.runs(user=None, limit=1) == [full]
    assert store.runs(user=None, stages={RunStage.WAITING}) == [run("a", user="lee")]
    assert store.runs(user=None, stages=()) == []


def test_a_unit_holds_the_runs_that_are_not_done(store: Store) -> None:
    with store.write() as unit:
        unit.put_run(run("a"))
        unit.put_run(run("b", stage=RunStage.LOST))
        assert set(unit.runs) == {"a", "b"}
    with store.write() as unit:
        assert unit.runs == {"a": run("a")}
        unit.put_run(run("a", stage=RunStage.RUNNING))
        unit.put_run(run("b", stage=RunStage.LOST, message="later"))
    assert store.run("a") == run("a", stage=RunStage.RUNNING)
    assert store.run("b") == run("b", stage=RunStage.LOST, message="later")
    with store.write() as unit:
        unit.drop_run("a")
        assert unit.runs == {}
    assert store.run("a") is None


def test_a_run_is_found_by_a_prefix_that_only_it_has(store: Store) -> None:
    with store.write() as unit:
        for id in ("ab12", "ab34", "ab", "c_1", "cx2"):
            unit.put_run(run(id))
    assert store.run("ab1") == run("ab12")
    assert store.run("ab") == run("ab")
    assert store.run("c_") == run("c_1")
    for nothing in ("a", "c", "", "%", "ab123"):
        assert store.run(nothing) is None


def test_strange_values_do_not_fail_the_write(store: Store) -> None:
    """A student's program printed them; the tick that writes them must not fail for everybody."""
    with store.write() as unit:
        unit.put_run(run("a", parameters={"lr": math.nan, "x": math.inf}, message="a\0b\ud800c"))
    back = store.run("a")
    assert back is not None
    assert math.isnan(back.parameters["lr"])
    assert back.parameters["x"] == math.inf
    assert back.message == "a\ufffdb?c"


def test_the_roster_is_replaced_as_a_whole(store: Store) -> None:
    first = [Member("kim", "ai", Role.STUDENT), Member("lee", "인공지능", Role.INSTRUCTOR)]
    store.set_members(reversed(first))
    assert store.members() == first
    store.set_members([Member("park", "ops", Role.OPERATOR)])
    assert store.members() == [Member("park", "ops", Role.OPERATOR)]
    with pytest.raises(sa.exc.IntegrityError):
        store.set_members([Member("kim", "ai", Role.STUDENT), Member("kim", "ai", Role.OPERATOR)])
    assert store.members() == [Member("park", "ops", Role.OPERATOR)]
    store.set_members([])
    assert store.members() == []
