"""Files are read out of ended containers by Docker: links lead nowhere, and sizes are limits."""

import os
from pathlib import Path

import pytest

from hub.errors import Unknown
from tests.edge.docker_fixtures import Yard, answers, sabotaged

pytestmark = pytest.mark.docker
HOME = "/home/student"
WRITES = """
import os, socket
os.chdir("/home/student")
os.makedirs("runs/a")
open("runs/a/run.json", "w").write('{"id": "가"}')
open("runs/a/빈 이름 (1).ipynb", "w").close()
open("runs/a/large", "wb").write(bytes(5000))
os.symlink("/etc/hostname", "runs/a/link")
os.symlink("run.json", "runs/a/near")
os.symlink("/etc", "runs/out")
os.symlink("../../../../../../etc/shadow", "runs/a/up")
os.symlink("ring", "runs/ring")
os.mkfifo("runs/a/pipe")
"""


@pytest.fixture
def ended(yard: Yard, tmp_path: Path) -> str:
    """The lease of a container that has written into its home and ended."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 1000, 1000)
    lease = yard.start(WRITES, volumes={str(home): {"bind": HOME, "mode": "rw"}})
    assert yard.wait() == [0], yard.engine.logs(lease).decode()
    return lease


def test_a_plain_file_is_read_also_out_of_the_home(yard: Yard, ended: str) -> None:
    read = yard.engine.archive
    assert read(ended, f"{HOME}/runs/a/run.json", 1000) == '{"id": "가"}'.encode()
    assert read(ended, f"{HOME}/runs/a/빈 이름 (1).ipynb", 1000) == b""
    assert read(ended, f"{HOME}/runs/a/large", 5000) == bytes(5000)


@pytest.mark.parametrize("path", [
    "runs/a/large", "runs/a/none", "runs/none/run.json", "runs/a", "runs/a/link", "runs/a/near",
    "runs/a/up", "runs/a/pipe", "runs/a/run.json/x", "runs/ring/x", f"runs/{'x' * 300}", "",
])
def test_what_is_no_small_plain_file_is_nothing(yard: Yard, ended: str, path: str) -> None:
    assert yard.engine.archive(ended, f"{HOME}/{path}", 4999) is None


def test_a_link_on_the_way_leads_into_the_container_and_not_the_host(
    yard: Yard, ended: str
) -> None:
    found = yard.engine.archive(ended, f"{HOME}/runs/out/passwd", 100_000)
    assert found is not None
    assert b"student" in found
    assert found != Path("/etc/passwd").read_bytes()


def test_a_container_that_is_gone_has_no_files(yard: Yard, ended: str) -> None:
    yard.engine.remove(ended)
    assert yard.engine.archive(ended, f"{HOME}/runs/a/run.json", 1000) is None


def test_a_docker_that_gives_no_answer_is_no_absence(yard: Yard, ended: str) -> None:
    with sabotaged(yard, answers("/archive", 500)) as (seen, _), pytest.raises(Unknown):
        seen.archive(ended, f"{HOME}/runs/a/run.json", 1000)
