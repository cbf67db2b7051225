from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.floor.floors import Floor, floor_at


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with floor_at(tmp_path) as made:
        yield made
