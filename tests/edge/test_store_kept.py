"""The state that a process keeps is the one that the database has, whoever has changed it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.lease import Lease, Stage, State, check
from hub.core.roster import Member, Role
from hub.core.rules import Group, Reservation, Span, Usage
from hub.edge import states
from hub.edge.store import Store
from hub.errors import IllegalStep
from tests.edge.store_facts import NOW, cards, put, request, statements
from tests.edge.store_worker import compare, wander
from tests.edge.test_store_trouble import finish, worker


def anew(url: str) -> State:
    """The state as the database has it, by a store that knows nothing yet."""
    store = Store(url)
    state = store.read()
    store.close()
    return state


@pytest.fixture
def other(store: Store, url: str) -> Iterator[Store]:
    """Another process, as far as the store can tell."""
    opened = Store(url)
    opened.read()
    yield opened
    opened.close()


def test_what_is_kept_is_given_again(store: Store) -> None:
    put(store, slices={x.key: x for x in cards(3)}, leases={"a": Lease(request("a"))})
    state = store.read()
    assert store.read() is state
    with store.write() as unit:
        assert unit.state is state
        unit.state = replace(state, slices=dict(state.slices), leases=dict(state.leases))
    assert store.read() is state, "nothing was changed"


@pytest.mark.parametrize("seed", range(2))
def test_two_stores_in_turn_are_one_that_knows_nothing(
    store: Store, other: Store, url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_TRAIL", 6)  # so that one is also left behind
    luck = Random(seed)
    for i in range(80):
        one, two = luck.sample([store, other], 2)
        with suppress(KeyError, IllegalStep):
            wander(one, luck, i)
        if luck.random() < 0.6:
            assert two.read() == one.read()
        if luck.random() < 0.3:
            assert one.read() == anew(url)
            assert two.members() == one.members()
    assert store.read() == other.read() == anew(url)
    check(store.read())


def test_three_processes_wander_at_once(store: Store, url: str) -> None:
    """Each checks at every step that what it keeps is what a store finds that keeps nothing."""
    put(store, slices={x.key: x for x in cards(8)})
    walkers = [worker("walk", url, str(seed), "25") for seed in range(2)]
    luck = Random(9)
    for i in range(25):
        with suppress(KeyError, IllegalStep):
            wander(store, luck, i, name="here")
        compare(store, url)
    finish(*walkers)
    assert store.read() == anew(url)


def test_many_threads_see_what_another_has_written(store: Store, other: Store, url: str) -> None:
    """Readers of one store while two write: what one has seen is never taken back."""
    over = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        last = 0
        while not over.is_set():
            seen = len(store.read().leases)
            if seen < last:
                wrong.append((seen, last))
            last = seen

    readers = [threading.Thread(target=look) for _ in range(6)]
    for x in readers:
        x.start()
    for i in range(60):
        one = (store, other)[i % 2]
        put(one, leases={**one.read().leases, f"r{i}": Lease(request(f"r{i}"))})
    over.set()
    for x in readers:
        x.join()
    assert wrong == []
    assert len(store.read().leases) == 60
    assert store.read() == anew(url)


def test_what_was_rolled_back_was_never_seen(store: Store, other: Store, url: str) -> None:
    put(store, leases={"a": Lease(request("a"))})
    before = store.read()
    with pytest.raises(KeyError), store.write() as unit:  # noqa: PT012 - a write is a block
        unit.state = replace(unit.state, leases={**before.leases, "b": Lease(request("b"))})
        raise KeyError
    twice = Lease(request("c", user="a"))
    with pytest.raises(IllegalStep):
        put(store, leases={**before.leases, "c": twice})
    assert store.read() is before
    assert other.read() == before == anew(url)
    put(other, leases={**before.leases, "d": Lease(request("d"))})
    assert set(store.read().leases) == {"a", "d"}


# ---- a database that is not what it was ----------------------------------------------------------


def dump(store: Store) -> dict[str, list[Any]]:
    """Every row of every table."""
    with store._database.begin() as c:
        return {
            name: [tuple(x) for x in c.execute(sa.text(f'SELECT * FROM "{name}"'))]  # noqa: S608
            for name in sa.inspect(c).get_table_names()
        }


def restore(store: Store, rows: dict[str, list[Any]]) -> None:
    """Put the rows back, as an operator does with a backup while others have the old one open."""
    with store._database.begin(write=True) as c:
        for name, found in rows.items():
            c.exec_driver_sql(f'DELETE FROM "{name}"')  # noqa: S608
            mark = "?" if store._file else "%s"
            for row in found:
                marks = ",".join([mark] * len(row))
                c.exec_driver_sql(f'INSERT INTO "{name}" VALUES ({marks})', row)  # noqa: S608


def grow(store: Store, name: str, count: int) -> None:
    for i in range(count):
        put(store, leases={**store.read().leases, f"{name}{i}": Lease(request(f"{name}{i}"))})


@pytest.mark.parametrize("writes", [0, 3, 5, 9, 80])
def test_a_database_put_back_from_a_copy_is_not_mistaken(
    store: Store, other: Store, url: str, writes: int
) -> None:
    """Also where it has reached the same number again, by other writes."""
    grow(store, "a", 3)
    copy = dump(store)
    grow(store, "b", 5)
    assert len(store.read().leases) == len(other.read().leases) == 8
    restore(store, copy)
    behind = Store(url)
    grow(behind, "c", writes)
    behind.close()
    assert store.read() == anew(url)
    grow(other, "d", 2)
    assert len(other.read().leases) == 3 + writes + 2
    assert store.read() == other.read() == anew(url)


def test_a_migration_is_not_mistaken(store: Store, other: Store) -> None:
    grow(store, "a", 2)
    assert len(other.read().leases) == 2
    with store._database.begin(write=True) as c:
        c.exec_driver_sql("UPDATE leases SET cause = 'mended'")
        states.forget(c)
    assert {x.cause for x in other.read().leases.values()} == {"mended"}
    assert {x.cause for x in store.read().leases.values()} == {"mended"}


@pytest.mark.parametrize("change", [
    lambda s: replace(s, slices={x.key: x for x in cards(2)}),
    lambda s: replace(s, house=replace(s.house, usage={})),
    lambda s: replace(s, house=replace(s.house, groups={"ml": Group("ml", 2.0)})),
    lambda s: replace(s, house=replace(s.house, reservations={})),
    lambda s: replace(s, leases={**s.leases, "a": replace(s.leases["a"], stage=Stage.WITHDRAWN)}),
])
def test_what_is_gone_is_gone_for_all(
    store: Store, other: Store, url: str, change: Callable[[State], State]
) -> None:
    made = Reservation("r", "ml", "1g.5gb", 1, Span(NOW.replace(tzinfo=None), NOW.replace(
        tzinfo=None) + timedelta(hours=1)), "UTC")
    put(store, slices={x.key: x for x in cards(3)}, leases={"a": Lease(request("a"))})
    put(store, house=replace(
        store.read().house, usage={("ml", "a"): Usage(1.0, NOW)}, groups={"ml": Group("ml")},
        reservations={"r": made},
    ))
    assert other.read() == store.read()
    with store.write() as unit:
        unit.state = change(unit.state)
    assert other.read() == store.read() == anew(url)


def test_the_roster_is_read_when_it_was_changed(store: Store, other: Store) -> None:
    kim, lee = (Member(x, "ai", Role.STUDENT) for x in ("kim", "lee"))
    store.set_members([kim])
    assert other.members() == [kim]
    with statements(other) as said:
        assert other.members() == [kim]
    assert len(said) == 1, "the version only"
    store.set_members([kim, lee])
    assert other.members() == [kim, lee]
    with other.write() as unit:
        assert unit.members == (kim, lee)
    other.set_members([lee])
    with store.write() as unit:
        assert unit.members == (lee,)
