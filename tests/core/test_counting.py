"""Who gives back, counted and paired: the quick way says what the plain one says.

And how much a turn does, counted in steps of the interpreter, which no busy machine lengthens.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import FrameType
from typing import Any

import pytest

from hub.core import giving, lease, policy
from hub.core.events import Observed
from hub.core.lease import Kind, check
from hub.core.nouns import State
from hub.core.rules import Group, House
from hub.core.share import book, standing
from tests.bench.tick import Room
from tests.core.lab import MINUTE, MONDAY, Lab
from tests.core.test_promises import QUICK

GROUPS = (Group("a", 2.0, user_quota=3.0), Group("b", 1.0), Group("c", 1.0, quota=5.0))


@pytest.mark.parametrize("seed", range(12))
def test_counting_is_pairing_where_nothing_is_reserved(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck = Random(seed)
    lab = Lab(*["1g.5gb"] * luck.randrange(1, 5), rules=QUICK, groups=GROUPS)
    said = 0
    for n in range(300):
        who = f"u{luck.randrange(9)}"
        mine = [x for x in lab.state.leases.values() if x.request.user == who]
        if not mine:
            kind = Kind.RUN if luck.random() < 0.4 else Kind.SERVER
            id = f"{who}-{n}"
            lab.ask(id, user=who, group="abc"[int(who[1]) % 3], kind=kind)
            lab.told.add(id) if luck.random() < 0.5 else lab.busy.add(id)
        elif mine[0].live and luck.random() < 0.1:
            lab.leave(mine[0].id)
        gone = luck.randrange(1, 6)
        later = lab.now + gone * MINUTE
        found = []
        for alike in (True, False):
            with monkeypatch.context() as patch:
                if not alike:
                    patch.setattr(giving._Pairs, "_alike", lambda *_: False)
                seen = policy.Survey(lab.state)
                rooms, used = policy.Rooms(lab.state, later, seen), standing(lab.state, later)
                found.append(giving.asking(lab.state, seen, rooms, lambda x=used: x, later))
        counted, paired = (sorted(map(str, x)) for x in found)
        assert counted == paired
        said += len(counted)
        lab.minutes(gone)
    assert said > 2


# ---- how much a turn does ------------------------------------------------------------------------

HOUR = timedelta(hours=1)
SCENES: dict[str, Callable[[State], State]] = {
    "nothing else": lambda x: x,
    "by night": lambda x: _ruled(x, night=(MONDAY.time(), (MONDAY + HOUR).time())),
    "runs have waited long": lambda x: _ruled(x, run_patience=HOUR),
    "all have waited long": lambda x: _ruled(x, patience=HOUR, run_patience=HOUR),
    "quotas": lambda x: replace(x, house=replace(x.house, groups={
        k: replace(g, quota=500.0, user_quota=20.0) for k, g in x.house.groups.items()
    })),
    "all but the youngest are over": lambda x: _ruled(x, min_hold=MINUTE, max_hold=20 * MINUTE),
}


def _ruled(state: State, **rules: object) -> State:
    known = state.house.rules
    return replace(state, house=replace(state.house, rules=replace(known, **rules)))  # type: ignore[arg-type]


def steps_of(what: Callable[[], object]) -> int:
    """Steps of the interpreter that it takes."""
    count, before = 0, sys.gettrace()

    def one(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return one

    sys.settrace(one)
    try:
        what()
    finally:
        sys.settrace(before)
    return count


def tick(size: int, scene: Callable[[State], State], hours: int) -> int:
    """The steps of a look and a turn, with everybody told who is to be told."""
    room = Room(7 * size, 10 * size)
    room.now += hours * HOUR
    leases = {
        k: replace(x, active_at=room.now, heard_at=room.now) if x.live else x
        for k, x in room.state.leases.items()
    }
    room.state = scene(replace(room.state, leases=leases))
    took = [steps_of(room.tick)]
    for _ in range(2):
        room.settle()
        room.live_a_little()
        took.append(steps_of(room.tick))
    return max(took[0], took[2])


# at nine nobody is kept out, at noon whoever would stay longer than to one o'clock has an end,
# and at half past one half of the cards are a class's
@pytest.mark.parametrize("hours", [0, 3, 4])
@pytest.mark.parametrize("scene", SCENES)
def test_a_turn_of_five_times_as_many_does_five_times_as_much(scene: str, hours: int) -> None:
    small, large = (tick(x, SCENES[scene], hours) for x in (4, 20))
    assert large < 5 * 1.25 * small, (small, large)


def test_the_books_are_copied_once_in_a_turn_however_many_leave(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(140, 10)
    room.now += timedelta(hours=20)
    books: list[dict[tuple[str, str], Any]] = []

    def spy(house: House, left: lease.Lease) -> House:
        books.append(house.usage)
        return book(house, left)

    monkeypatch.setattr(lease, "book", spy)
    given = dict(room.state.house.usage)
    after, _ = policy.turn(room.state, room.now)
    assert len(books) > 100
    assert len({id(x) for x in books}) == 1
    assert room.state.house.usage == given
    assert type(after.house.usage) is dict
    books.clear()
    lost = Observed(room.now + 20 * MINUTE, room.seen, {})
    started = {
        k: replace(x, started_at=room.now) if x.live else x for k, x in room.state.leases.items()
    }
    lease.step(replace(room.state, leases=started), lost, room.now + 20 * MINUTE)
    assert len(books) > 100
    assert len({id(x) for x in books}) == 1


class Key(lease.SliceKey):
    """A key that knows how often such keys were looked for."""

    asked = 0

    def __hash__(self) -> int:
        Key.asked += 1
        return hash(tuple(self))


def looks(size: int) -> int:
    """How often a slice is looked for in a check of the law."""
    room = Room(7 * size, 10 * size)
    leases = {
        k: replace(x, slice=x.slice and Key(*x.slice)) for k, x in room.state.leases.items()
    }
    slices: dict[lease.SliceKey, lease.Slice] = {
        Key(*k): replace(s, key=Key(*k)) for k, s in room.state.slices.items()
    }
    Key.asked = 0
    check(replace(room.state, slices=slices, leases=leases))
    return Key.asked


def test_the_conservation_law_is_checked_in_one_pass() -> None:
    assert looks(100) < 6 * looks(20)
