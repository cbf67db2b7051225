from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.roster import parse
from hub.desk import Desk
from tests.floor.classes import Classroom, classroom_at
from tests.floor.desks import ROSTER, Clock
from tests.floor.floors import Floor, floor_at


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with floor_at(tmp_path) as made:
        yield made


@pytest.fixture
def clock(floor: Floor) -> Clock:
    made = Clock()
    floor.broker.set_members(parse(ROSTER, "roster"))
    floor.broker._clock = made
    floor.broker.outlook._clock = made
    return made


@pytest.fixture
def desk(floor: Floor, clock: Clock) -> Desk:
    return Desk(floor.broker, clock)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Classroom]:
    with classroom_at(tmp_path) as made:
        yield made
