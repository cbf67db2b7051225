from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.edge.store import Store
from tests.edge.docker_fixtures import yard  # noqa: F401 - a fixture
from tests.edge.folder_fixtures import at, bo, folder, home  # noqa: F401 - fixtures
from tests.edge.gpu_rigs import make_nvml, make_rig, nvml_library  # noqa: F401 - fixtures
from tests.edge.postgres import Postgres
from tests.edge.street import street, walled  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: each test that asks for it runs on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'madang.sqlite'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store whose schema is there."""
    opened = Store(url)
    opened.upgrade()
    yield opened
    opened.close()
