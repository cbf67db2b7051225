"""What `make` does before anything is installed: stamps, early settings, sudo, told failures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.face.setup import parts, system, talk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "LOG", tmp_path / "log" / "setup.log")


def test_a_stamp_fits_until_what_it_was_made_from_changes(tmp_path: Path) -> None:
    lock, stamp = tmp_path / "lock", tmp_path / "part" / "stamp"
    lock.write_text("a==1\n")
    assert not parts.fresh(stamp, [lock])
    parts.mark(stamp, [lock])
    assert parts.fresh(stamp, [lock])
    lock.write_text("a==2\n")
    assert not parts.fresh(stamp, [lock])


def test_an_early_setting_comes_from_environment_file_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "madang.toml"
    file.write_text("port = 8100\n")
    monkeypatch.delenv("MADANG_PORT", raising=False)
    monkeypatch.setenv("MADANG_CONFIG", str(file))
    assert system.setting("port", "8000") == "8100"
    assert system.setting("bind", "127.0.0.1") == "127.0.0.1"
    monkeypatch.setenv("MADANG_PORT", "8200")
    assert system.setting("port", "8000") == "8200"
    file.write_text("port = \n")
    with pytest.raises(talk.Stop, match=r"madang\.toml"):
        system.setting("data", "")


def test_a_failed_command_shows_its_end_and_the_log(tmp_path: Path) -> None:
    code = "import os; [print('line', i) for i in range(40)]; print(os.environ['X_CA']); exit(7)"
    with pytest.raises(talk.Stop) as told:
        talk.run([sys.executable, "-c", code], env={"X_CA": "passed on"})
    text = str(told.value)
    assert "exit 7" in text
    assert "line 39" in text
    assert "passed on" in text
    assert "line 3\n" not in text
    assert "line 3\n" in (tmp_path / "log" / "setup.log").read_text()


def test_sudo_keeps_what_works_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sudo").write_text("#!/bin/sh\n")
    (tmp_path / "sudo").chmod(0o755)
    called: list[list[str]] = []
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("PIP_INDEX_URL", "https_proxy", "NODE_EXTRA_CA_CERTS", "MADANG_PORT", "SECRET"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", lambda _, argv: called.append(argv))
    system.become_root()
    kept = called[0][1].removeprefix("--preserve-env=").split(",")
    assert {"PIP_INDEX_URL", "https_proxy", "NODE_EXTRA_CA_CERTS", "MADANG_PORT"} <= set(kept)
    assert "SECRET" not in kept


def test_without_sudo_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(talk.Stop, match="run as root"):
        system.become_root()


def test_make_alone_lists_every_target() -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    said = subprocess.run(["make"], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    for verb in ("run", "down", "status", "logs", "doctor", "images", "test", "lint", "bench"):
        assert f"make {verb} " in said.stdout


def test_an_unknown_verb_lists_the_known() -> None:
    done = subprocess.run([sys.executable, "-B", "-m", "hub.face.setup", "fly"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "verbs: run, down" in done.stderr


def test_the_scripts_can_be_called() -> None:
    for name in (".ci/run", "hub/face/setup/start", "images/build"):
        assert os.access(ROOT / name, os.X_OK), name
