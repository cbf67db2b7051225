"""A submission that is sent again, because its answer was lost, makes nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hub.batch import Batch
from hub.core.once import Once
from hub.core.runs import Run
from hub.errors import BadInput, Refusal, Unavailable
from tests.floor.floors import Floor, MovedClock, floor_at

ONCE = Once("user:ana", "a-key", "digest")


def send(
    floor: Floor, once: Once = ONCE, batch: Batch | None = None, profile: str = "3g.20gb"
) -> Run:
    to = batch or floor.batch
    wanted = floor.wanted(profile=profile)
    return to.taking.once(once, lambda: [to.submit(wanted, once)])[0]


def inputs(floor: Floor) -> list[str]:
    return [x.name for x in (floor.broker.settings.data / "runs").glob("*")]


def test_the_same_again_is_the_same_run_as_it_is_then(floor: Floor) -> None:
    first = send(floor)
    floor.tick()
    again = send(floor)
    assert (again.id, again.stage) == (first.id, floor.stage(first))
    assert [x.id for x in floor.batch.list()] == inputs(floor) == [first.id]
    other = send(floor, replace(ONCE, key="another"))
    assert other.id != first.id
    assert send(floor, replace(ONCE, by="user:bo")).id not in {first.id, other.id}, "its own keys"


def test_another_request_with_a_key_that_was_used_is_refused(floor: Floor) -> None:
    send(floor)
    with pytest.raises(Refusal, match="another request") as e:
        send(floor, replace(ONCE, digest="other"))
    assert (e.value.status, e.value.reason) == (422, "idempotency-key")
    assert len(floor.batch.list()) == 1


def test_many_at_once_are_one_run(floor: Floor) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: send(floor), range(8)))
    assert len({x.id for x in found}) == 1
    assert [x.id for x in floor.batch.list()] == inputs(floor) == [found[0].id]


def test_another_service_that_made_it_in_the_same_moment_is_seen_in_the_write(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Batch(floor.broker)
    keep: Callable[..., None] = floor.batch.files.put_input
    made = []

    def slow(*what: object) -> None:
        made.append(send(floor, batch=other))
        keep(*what)

    monkeypatch.setattr(floor.batch.files, "put_input", slow)
    with pytest.raises(Unavailable, match="a moment ago"):
        send(floor)
    assert [x.id for x in floor.batch.list()] == inputs(floor) == [made[0].id]
    assert send(floor).id == made[0].id
    other.close()


def test_what_was_refused_is_tried_again(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput):
        send(floor, profile="9g.90gb")

    def away(_: Run) -> None:
        raise Unavailable("The database is busy; try again in a moment.", reason="busy")

    with monkeypatch.context() as patch:
        patch.setattr(floor.batch.mover, "ask", away)
        with pytest.raises(Unavailable):
            send(floor)
    assert floor.batch.list() == []
    run = send(floor)
    assert [x.id for x in floor.batch.list()] == [run.id]


def test_a_key_is_kept_for_a_day_and_not_for_ever(tmp_path: Path) -> None:
    with floor_at(tmp_path, keep_days=1) as floor:
        time, first = MovedClock(floor), send(floor)
        time.passes(hours=23)
        floor.batch.tick()
        assert send(floor).id == first.id
        time.passes(hours=2)
        floor.batch.tick()
        assert floor.broker.edges.store.taken(ONCE.by, ONCE.key) is None


def test_what_could_neither_be_asked_for_nor_dropped_runs_when_it_is_sent_again(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        monkeypatch.setattr(floor.batch._store, "write", away)
        away()

    def away() -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(floor.batch.mover, "ask", gone)
    with pytest.raises(Unavailable):
        send(floor)
    monkeypatch.undo()
    again = send(floor)
    assert floor.batch.files.input(again.input_id)
