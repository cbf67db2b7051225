from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core import policy
from hub.core.lease import (
    Asked,
    Ended,
    Granted,
    Lease,
    Observed,
    Stage,
    Started,
    State,
    Withdrawn,
    check,
    step,
)
from hub.edge.store import Store
from hub.errors import IllegalStep
from tests.edge.store_facts import NOW, cards, move, request, run, seen, statements


def test_what_was_written_is_read_back_equal(store: Store) -> None:
    seoul = timezone(timedelta(hours=9))
    slices = (
        *cards(3), *cards(4, processes=None, used_mib=0)[3:],
        *cards(5, processes=(1, 22), used_mib=17, present=False)[4:],
    )
    with store.write() as unit:
        state, _ = step(unit.state, Observed(NOW, slices, {}), NOW)
        asked = request(
            "r1", user="김철수", name="둘", group="인공지능", asked_at=NOW.astimezone(seoul),
            options={"image": "x", "deep": {"list": [1, None, "가"]}},
        )
        state, _ = step(state, Asked(asked), NOW)
        later = NOW + timedelta(hours=1)
        state, _ = step(state, Granted("r1", slices[0].key, later), NOW)
        unit.state = state
    assert store.read() == state
    back = store.lease("r1")
    assert back == state.leases["r1"]
    assert back.request.asked_at.tzinfo is UTC
    assert back.until is not None
    assert back.until.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a time zone"):
        move(store, Asked(request("r1", asked_at=NOW.replace(tzinfo=None))))
    assert store.read() == State()


def test_only_the_difference_is_written(store: Store) -> None:
    seen(store, *cards(60))
    with statements(store) as said, store.write() as unit:
        unit.state, _ = step(unit.state, Observed(NOW, cards(60), {}), NOW)
    assert [x for x in said if not x.startswith("SELECT")] == []
    changed = (*cards(59), replace(cards(60)[59], used_mib=3))
    with statements(store) as said, store.write() as unit:
        unit.state, _ = step(unit.state, Observed(NOW, changed, {}), NOW)
    wrote = [x.split()[1] for x in said if not x.startswith("SELECT")]
    assert wrote == ["slices", "version"]
    assert store.read().slices[changed[59].key].used_mib == 3


def test_the_state_is_read_when_another_has_changed_it(store: Store, url: str) -> None:
    seen(store, *cards(60))
    with statements(store) as said:
        store.read()
        with store.write():
            pass
    assert [x.split()[-1] for x in said] == ["version", "version"], "it knows what it wrote itself"
    other = Store(url)
    with statements(other) as said:
        first = other.read()
    assert len(said) == 1 + 5, "all tables of the state, each once"
    seen(store, *cards(60, used_mib=3)[:1], *cards(60)[1:])
    with statements(other) as said:
        assert other.read() == store.read() != first
    assert len(said) == 1 + 3, "what is new in the tables that change often"
    with statements(store) as said, store.write() as unit:
        assert unit.runs == unit.runs == {}
    assert len(said) == 2, "runs are read where they are asked for, once"
    other.close()


def test_an_exception_takes_everything_back(store: Store) -> None:
    seen(store, *cards(2))
    before = store.read()
    with pytest.raises(KeyError), store.write() as unit:  # noqa: PT012 - a write is a block
        unit.state, _ = step(unit.state, Asked(request("r1")), NOW)
        unit.put_run(run("a"))
        raise KeyError
    assert store.read() == before
    assert store.run("a") is None
    assert "r2" in move(store, Asked(request("r2"))).leases


def test_a_write_inside_a_write_is_told_at_once(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside"), store.write(), store.write():
        pass
    assert "r1" in move(store, Asked(request("r1"))).leases


def test_what_has_ended_leaves_the_state_and_stays_in_the_history(store: Store) -> None:
    seen(store, *cards(1))
    key = cards(1)[0].key
    old, new = (request(x, asked_at=NOW + timedelta(minutes=i)) for i, x in enumerate("ab"))
    move(store, Asked(old), Granted("a", key), Started("a"), Ended("a", "stopped"))
    later = NOW + timedelta(minutes=1)
    state = move(store, Observed(later, cards(1), {}), Asked(new), Withdrawn("b"), now=later)
    assert state.leases == {}
    assert [(x.id, x.stage) for x in store.leases()] == [
        ("b", Stage.WITHDRAWN), ("a", Stage.RELEASED)
    ]
    assert [x.id for x in store.leases(limit=1)] == ["b"]
    assert [x.id for x in store.leases(user="a")] == ["a"]
    ended = store.lease("a")
    assert ended is not None
    assert ended.ended_at == later
    assert store.lease("nobody") is None


def test_a_slice_changes_hands_in_one_transaction(store: Store) -> None:
    """The id that comes first in any order is the one that takes: the row must still go last."""
    seen(store, *cards(1))
    key = cards(1)[0].key
    move(store, Asked(request("a")), Asked(request("b")))
    move(store, Granted("b", key), Started("b"), Ended("b", "stopped"))
    later = NOW + timedelta(minutes=1)
    with store.write() as unit:
        state, _ = step(unit.state, Observed(later, cards(1), {}), later)
        state, _ = step(state, Granted("a", key), later)
        unit.state, _ = step(state, Asked(request("a2", user="b", asked_at=later)), later)
    assert store.read().held()[key].id == "a"


def test_an_owner_asks_again_while_the_old_lease_drains(store: Store) -> None:
    seen(store, *cards(1))
    move(store, Asked(request("z")), Granted("z", cards(1)[0].key), Started("z"))
    state = move(store, Ended("z", "stopped"), Asked(request("a", user="z")))
    assert {x.id: x.stage for x in state.leases.values()} == {
        "z": Stage.DRAINING, "a": Stage.WAITING
    }


@pytest.mark.parametrize("stage", [
    Stage.GRANTED, Stage.RUNNING, Stage.DRAINING, Stage.QUARANTINED
])
def test_the_belt_refuses_a_planted_double_hold(store: Store, stage: Stage) -> None:
    seen(store, *cards(2))
    key = cards(1)[0].key
    before = move(store, Asked(request("a")), Granted("a", key), Started("a"))
    planted = Lease(request("b"), stage, key, NOW, NOW, NOW)
    with pytest.raises(IllegalStep, match="refuses"), store.write() as unit:
        unit.state = replace(unit.state, leases={**unit.state.leases, "b": planted})
    assert store.read() == before


def test_the_belt_refuses_two_open_requests_of_one_owner(store: Store) -> None:
    before = move(store, Asked(request("a", user="kim")))
    twice = Lease(request("b", user="kim"))
    with pytest.raises(IllegalStep, match="refuses"), store.write() as unit:
        unit.state = replace(unit.state, leases={**unit.state.leases, "b": twice})
    assert store.read() == before


def test_a_lease_that_vanishes_from_the_state_is_refused(store: Store) -> None:
    before = move(store, Asked(request("a")))
    with pytest.raises(IllegalStep, match=r"vanished.*'a'"), store.write() as unit:
        unit.state = replace(unit.state, leases={})
    assert store.read() == before


def test_a_slice_may_be_forgotten(store: Store) -> None:
    seen(store, *cards(3))
    with store.write() as unit:
        unit.state = replace(unit.state, slices={s.key: s for s in cards(2)})
    assert list(store.read().slices) == [s.key for s in cards(2)]


def test_a_random_walk_on_the_store_is_the_walk_in_memory(store: Store) -> None:
    luck = Random(7)
    memory, now = State(), NOW
    for i in range(150):
        now += timedelta(seconds=luck.randrange(30))
        ids = sorted(memory.leases) or ["none"]
        runs = {x: luck.random() < 0.7 for x in ids if luck.random() < 0.5}
        event = luck.choice([
            Asked(request(f"r{i}", user=f"u{luck.randrange(6)}", asked_at=now)),
            Withdrawn(luck.choice(ids)), Started(f"{i}"), Ended(luck.choice(ids), "stopped"),
            Observed(now, cards(luck.randrange(5)), runs), Observed(now, cards(4), {}),
            *(Started(x) for x in ids if x in memory.leases
              and memory.leases[x].stage in (Stage.GRANTED, Stage.RUNNING)),
        ])
        memory = _walk(memory, event, now)
        with store.write() as unit:
            unit.state = _walk(unit.state, event, now)
        live = {k: x for k, x in memory.leases.items()
                if x.stage not in (Stage.RELEASED, Stage.WITHDRAWN)}
        memory = replace(memory, leases=live)
        assert store.read() == memory
        check(memory)
    assert len(store.leases(limit=1000)) > 20


def _walk(state: State, event: Any, now: datetime) -> State:
    state, _ = step(state, event, now)
    for given in policy.grants(state, now):
        state, _ = step(state, given, now)
    return state
