"""What is shown of the state, where it is more than picking fields."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.core.lease import Kind, Lease, Request, Stage, State
from hub.core.policy import place
from hub.face.views import Caller, line_of

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


def test_the_lines_positions_are_those_that_each_is_told() -> None:
    state = _line(50)
    shown = line_of(state, Caller("boss", is_operator=True))
    assert len(shown) == 50
    for one in shown:
        assert one.id is not None
        told = place(state, one.id)
        assert told is not None
        assert (one.position, one.profile) == (told.position, told.profile)


def test_the_line_is_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page that is open has it made anew; per waiter it was the whole line again."""
    passes = 0
    real = State.waiting

    def counted(state: State) -> tuple[Lease, ...]:
        nonlocal passes
        passes += 1
        return tuple(real(state))

    state = _line(200)
    monkeypatch.setattr(State, "waiting", counted)
    assert len(line_of(state, Caller("boss", is_operator=True))) == 200
    assert passes == 1
