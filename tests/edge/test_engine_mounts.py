"""Files of a mounted folder, read where they lie: plain ones only, and no link is followed."""

import os
from pathlib import Path

import pytest

from hub.edge.engine import mounts
from tests.edge.docker_fixtures import Yard

HOME = "/home/student"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "runs/a").mkdir(parents=True)
    (home / "runs/a/run.json").write_text("{}")
    (tmp_path / "secret").write_text("the operator's")
    (home / "runs/a/link").symlink_to(tmp_path / "secret")
    (home / "runs/out").symlink_to(tmp_path)
    (home / "runs/near").symlink_to("a")
    os.mkfifo(home / "runs/a/pipe")
    return home


def bind(source: Path, target: str) -> dict[str, str]:
    return {"Type": "bind", "Source": str(source), "Destination": target}


def test_a_plain_file_is_read(home: Path) -> None:
    there = [bind(home, HOME)]
    assert mounts.read(there, f"{HOME}/runs/a/run.json", 2) == b"{}"
    assert mounts.read(there, f"{HOME}/runs/a/run.json", 1) is None


@pytest.mark.parametrize("path", [
    f"{HOME}/runs/a/link", f"{HOME}/runs/out/secret", f"{HOME}/runs/near/run.json",
    f"{HOME}/runs/a/pipe", f"{HOME}/runs/a", f"{HOME}/runs/../../secret", f"{HOME}/../secret",
    f"{HOME}/none", HOME, "/etc/passwd", f"{HOME}s/run.json", f"{HOME}/runs/a/run.json/x",
])
def test_for_all_else_docker_has_to_be_asked(home: Path, path: str) -> None:
    with pytest.raises(mounts.NotHere):
        mounts.read([bind(home, HOME)], path, 1000)


def test_the_nearest_mount_has_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/run.json").write_text("other")
    there = [bind(tmp_path / "other", f"{HOME}/runs/a"), bind(home, HOME)]
    assert mounts.read(there, f"{HOME}/runs/a/run.json", 1000) == b"other"
    volume = {**there[0], "Type": "volume"}
    with pytest.raises(mounts.NotHere):
        mounts.read([volume, there[1]], f"{HOME}/runs/a/run.json", 1000)


def test_nothing_is_left_open(home: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in ("runs/a/run.json", "runs/a/pipe", "runs/out/secret", "runs/a/none/x"):
        try:
            mounts.read([bind(home, HOME)], f"{HOME}/{path}", 1000)
        except mounts.NotHere:
            continue
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.docker
def test_it_is_what_docker_says_of_a_container(
    yard: Yard, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = yard.start("pass", volumes={str(home): {"bind": HOME, "mode": "rw"}})
    yard.wait()
    asked: list[str] = []
    monkeypatch.setattr(
        "hub.edge.engine.engine.file_of", lambda _api, _id, path, _limit: asked.append(path)
    )
    assert yard.engine.archive(lease, f"{HOME}/runs/a/run.json", 1000) == b"{}"
    assert not asked
    assert yard.engine.archive(lease, f"{HOME}/runs/a/link", 1000) is None
    assert asked == [f"{HOME}/runs/a/link"]
