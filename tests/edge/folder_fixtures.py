"""A student's folder, and somebody else's home beside it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.edge.folders import Folder, opened

UID = 1000
MOST = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "homes" / "ana"
    made.mkdir(parents=True)
    os.chown(made, UID, UID)
    return made


@pytest.fixture
def bo(tmp_path: Path) -> Path:
    """Somebody else's home, with a file."""
    made = tmp_path / "homes" / "bo"
    made.mkdir(parents=True)
    (made / "notes").write_text("bo's")
    for x in (made, made / "notes"):
        os.chown(x, UID, UID)
    return made


@pytest.fixture
def folder(home: Path) -> Iterator[Folder]:
    with opened(home, "courses/torch", make=True) as made:
        yield made


@pytest.fixture
def at(home: Path) -> Path:
    return home / "courses" / "torch"


def theirs(path: Path, text: str = "mine") -> Path:
    """A file of the student's."""
    path.write_text(text)
    os.chown(path, UID, UID)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(x.relative_to(folder)) for x in folder.rglob("*"))
