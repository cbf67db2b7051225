"""What is shown of the state, where it is more than picking fields."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.core.forecast import places
from hub.core.lease import Kind, Lease, Request, Stage, State
from hub.face.caller import Caller
from hub.face.views_line import Scene, line_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROFILES = ("1g.5gb", "3g.20gb", "7g.40gb")


def _line(count: int) -> State:
    """So many wait, for three sizes in turn."""
    def leases() -> Iterator[Lease]:
        for i in range(count):
            yield Lease(
                Request(
                    id=f"l{i}", user=f"u{i}", kind=Kind.SERVER, name="", profile=PROFILES[i % 3],
                    image="x", asked_at=NOON + timedelta(seconds=i),
                ),
                Stage.WAITING,
            )

    return State(leases={x.id: x for x in leases()}, slices={})


def _scene(state: State) -> Scene:
    now = NOON + timedelta(hours=1)
    told = {k: x for p in PROFILES for k, x in places(state, p, now).items()}
    return Scene(state, now, told)


def test_the_lines_positions_are_those_that_each_is_told() -> None:
    scene = _scene(_line(50))
    shown = line_of(scene, Caller("boss", is_operator=True), "en")
    assert len(shown) == 50
    for one in shown:
        assert one.id is not None
        told = scene.places[one.id]
        assert (one.position, one.profile) == (told.position, told.profile)


def test_the_line_is_shown_by_size_in_the_order_of_service() -> None:
    shown = line_of(_scene(_line(7)), Caller("u1"), "en")
    assert [(x.profile, x.position) for x in shown] == [
        ("1g.5gb", 1), ("1g.5gb", 2), ("1g.5gb", 3), ("3g.20gb", 1), ("3g.20gb", 2),
        ("7g.40gb", 1), ("7g.40gb", 2),
    ]
    assert [x.id for x in shown if x.mine] == ["l1"]
    assert {x.user for x in shown} == {"u1", None}
    assert {x.group for x in shown} == {"", None}
    assert [bool(x.reason) for x in shown] == [x.mine for x in shown]


def test_the_line_is_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page that is open has it made anew; per waiter it was the whole line again."""
    passes = 0
    real = State.waiting

    def counted(state: State) -> tuple[Lease, ...]:
        nonlocal passes
        passes += 1
        return tuple(real(state))

    scene = _scene(_line(200))
    monkeypatch.setattr(State, "waiting", counted)
    assert len(line_of(scene, Caller("boss", is_operator=True), "en")) == 200
    assert passes == 1
