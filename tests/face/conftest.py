"""Who pushes, where a file's `service` takes courses."""

from pathlib import Path

import pytest

from hub.publishing import Publishing
from tests.face.pushes import Person
from tests.face.running import Running


@pytest.fixture
def publishing(service: Running) -> Publishing:
    found: Publishing = service.app.state.publishing
    return found


@pytest.fixture
def teacher(service: Running, tmp_path: Path) -> Person:
    return Person(tmp_path / "teacher", service, "t-teacher")


@pytest.fixture
def student(service: Running, tmp_path: Path) -> Person:
    return Person(tmp_path / "ana", service, "t-ana")
