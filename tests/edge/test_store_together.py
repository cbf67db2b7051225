"""Threads that write at the same time share a commit: what one of them meets is its own."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.lease import Lease
from hub.core.roster import Member, Role
from hub.edge import states, writing
from hub.edge.store import Store, Unit
from hub.edge.writing import Turns
from hub.errors import IllegalStep, Unavailable
from tests.edge.store_facts import cards, put, request, run


@contextmanager
def commits(store: Store) -> Iterator[list[str]]:
    """Transactions that are committed meanwhile."""
    said: list[str] = []

    def note(_: sa.Connection) -> None:
        said.append("commit")

    engine = store._database._engine
    sa.event.listen(engine, "commit", note)
    yield said
    sa.event.remove(engine, "commit", note)


def add(unit: Unit, id: str, **rest: Any) -> None:
    leases = {**unit.state.leases, id: Lease(request(id, **rest))}
    unit.state = replace(unit.state, leases=leases)


@pytest.fixture
def patient(store: Store) -> Store:
    """A store where everybody in the line joins, however long it takes."""
    store._patience = 60.0
    return store


def together(store: Store, *writers: Callable[[Store], object]) -> list[Future[object]]:
    """Have all of them in the line, in this order, before the first has its turn."""
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        with store.write() as unit:
            begun.set()
            assert go.wait(20)
            add(unit, "first")

    with ThreadPoolExecutor(len(writers) + 1) as pool:
        leader = pool.submit(first)
        assert begun.wait(20)
        futures = []
        for i, one in enumerate(writers):
            futures.append(pool.submit(one, store))
            while len(store._turns._line) <= i:
                time.sleep(0.001)
        go.set()
    return [leader, *futures]


def adds(id: str, *, alone: bool = False, **rest: Any) -> Callable[[Store], object]:
    def write(store: Store) -> object:
        with store.write(alone=alone) as unit:
            add(unit, id, **rest)
        # on the disk by now, and seen by all
        assert id in store.read().leases
        return None

    return write


def anew(url: str) -> set[str]:
    store = Store(url)
    found = set(store.read().leases)
    store.close()
    return found


def test_who_waits_in_the_line_shares_a_commit(patient: Store, url: str) -> None:
    with commits(patient) as said:
        done = together(patient, *(adds(f"r{i}") for i in range(6)))
        assert [x.result() for x in done] == [None] * 7
    reads = 6
    assert len(said) - reads == 1
    assert anew(url) == {"first", *(f"r{i}" for i in range(6))} == set(patient.read().leases)


def test_each_sees_what_was_written_before_it(patient: Store) -> None:
    seen: dict[str, set[str]] = {}

    def look(id: str) -> Callable[[Store], object]:
        def write(store: Store) -> None:
            with store.write() as unit:
                seen[id] = {*unit.state.leases, *unit.runs}
                add(unit, id)
                unit.put_run(run(f"run-{id}"))

        return write

    for x in together(patient, look("a"), look("b")):
        x.result()
    assert seen == {"a": {"first"}, "b": {"first", "a", "run-a"}}


def test_what_fails_in_one_is_undone_alone(patient: Store, url: str) -> None:
    def refused(store: Store) -> None:
        with store.write() as unit:
            unit.put_run(run("never"))
            add(unit, "never", user="first")

    def broken(store: Store) -> None:
        with store.write() as unit:
            add(unit, "neither")
            raise KeyError

    with commits(patient) as said:
        first, bad, worse, good = together(patient, refused, broken, adds("good"))
    assert len(said) == 2, "one of the writers', one of the reader's"
    with pytest.raises(IllegalStep, match="refuses"):
        bad.result()
    with pytest.raises(KeyError):
        worse.result()
    assert (first.result(), good.result()) == (None, None)
    assert anew(url) == set(patient.read().leases) == {"first", "good"}
    assert patient.run("never") is None


def test_what_one_of_them_deletes_is_gone_for_all(patient: Store, url: str) -> None:
    """A deleted row tells nobody, also where another has written after it in the same commit."""
    put(patient, slices={x.key: x for x in cards(3)})
    other = Store(url)
    assert len(other.read().slices) == 3
    patient._patience = 60.0

    def forget(store: Store) -> None:
        put(store, slices={x.key: x for x in cards(1)})

    for x in together(patient, forget, adds("a")):
        x.result()
    assert len(other.read().slices) == 1
    assert other.read() == patient.read()
    other.close()


@pytest.mark.parametrize("last", ["refused", "broken"])
def test_a_failure_of_the_last_one_keeps_the_others(patient: Store, url: str, last: str) -> None:
    def bad(store: Store) -> None:
        with store.write() as unit:
            add(unit, "bad", user="first")
            if last == "broken":
                raise KeyError

    _, good, worse = together(patient, adds("good"), bad)
    good.result()
    with pytest.raises(KeyError if last == "broken" else IllegalStep):
        worse.result()
    assert anew(url) == {"first", "good"} == set(patient.read().leases)


def test_a_failure_of_the_first_one_keeps_the_others(patient: Store, url: str) -> None:
    begun, go = threading.Event(), threading.Event()

    def bad() -> None:
        with patient.write() as unit:
            begun.set()
            assert go.wait(20)
            add(unit, "bad")
            raise KeyError

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bad)
        assert begun.wait(20)
        second = pool.submit(adds("good"), patient)
        while not patient._turns._line:
            time.sleep(0.001)
        go.set()
    with pytest.raises(KeyError):
        first.result()
    second.result()
    assert anew(url) == {"good"} == set(patient.read().leases)


def test_a_commit_that_fails_is_told_to_all(
    patient: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(patient, leases={"old": Lease(request("old"))})
    patient._patience = 60.0
    fails = Unavailable("The disk is full.", reason="disk-full")

    def advance(*_: object) -> None:
        raise fails

    with monkeypatch.context() as patch:
        patch.setattr(states, "advance", advance)
        done = together(patient, adds("a"), adds("b"))
    for x in done:
        with pytest.raises(Unavailable, match="full"):
            x.result()
    assert anew(url) == {"old"} == set(patient.read().leases)
    adds("new")(patient)
    assert anew(url) == {"old", "new"}


def test_who_wants_to_be_alone_is(patient: Store, url: str) -> None:
    def roster(store: Store) -> None:
        store.set_members([Member("kim", "ml", Role.STUDENT)])

    with commits(patient) as said:
        done = together(patient, adds("a"), adds("b", alone=True), roster, adds("c"))
        for x in done:
            x.result()
    assert len(said) == 4 + 3, "three of these read"
    assert anew(url) == {"first", "a", "b", "c"}
    assert [x.name for x in patient.members()] == ["kim"]


def test_nobody_joins_what_has_been_open_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_TIMES", 0)
    with commits(store) as said:
        for x in together(store, adds("a"), adds("b")):
            x.result()
    assert len(said) == 3 + 2


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, order = Turns(), []
    turns.take()
    assert turns.mine()

    def want(i: int) -> None:
        turns.take()
        order.append(i)
        turns.end()

    threads = []
    for i in range(9):
        threads.append(threading.Thread(target=want, args=(i,)))
        threads[-1].start()
        while len(turns._line) <= i:
            time.sleep(0.001)
    turns.end()
    for x in threads:
        x.join()
    assert order == list(range(9))
    assert not turns.mine()


def test_a_turn_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WAIT", 0.05)
    turns = Turns()
    turns.take()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(Unavailable, match="busy"):
            pool.submit(turns.take).result()
        assert not turns.hand_on(), "who gave up is not in the line any more"
        turns.end()
        pool.submit(turns.take).result()
