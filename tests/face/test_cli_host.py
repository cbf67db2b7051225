"""The host's verbs, called as an operator calls them; no hub and no Docker needed."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from hub.face import cli

ROOT = Path(__file__).resolve().parents[2]
_NO_DOCKER = "unix:///nowhere/docker.sock"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MADANG_")}
    return {
        **plain, "MADANG_NAME": "clitest", "MADANG_DATA": str(tmp_path / "data"),
        "MADANG_SIMULATED_DIR": str(tmp_path / "cards"), "MADANG_GPUS": "simulated",
        "MADANG_DOCKER": _NO_DOCKER, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1",
    }


def madang(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hub.face.cli", *words]
    return subprocess.run(argv, env=env, cwd="/", text=True, capture_output=True, timeout=60,
                          check=False)


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(
        "name,group,role\nmina,ai-1,student\nteacher,ai-1,instructor\nroot,staff,operator\n")
    return path


def test_the_hosts_command_has_the_images_verbs_too(environment: dict[str, str]) -> None:
    said = madang(environment, "--help").stdout
    for verb in ("slices", "leases", "line", "run", "serve", "down", "status", "doctor"):
        assert f" {verb} " in said


def test_doctor_goes_on_without_docker_and_fails(environment: dict[str, str]) -> None:
    done = madang(environment, "doctor", "--json")
    facts = {x["name"]: x for x in json.loads(done.stdout)}
    assert done.returncode == 1, done.stderr
    assert facts["Docker Engine"]["level"] == "fail"
    assert "docker.io" in facts["Docker Engine"]["advice"]
    assert facts["card"]["found"].startswith("GPU ")
    assert "simulated" in facts["card"]["found"]
    assert all(x["advice"] for x in facts.values() if x["level"] != "ok")


def test_doctor_prints_a_line_each_and_what_to_do(environment: dict[str, str]) -> None:
    done = madang(environment, "doctor")
    assert done.returncode == 1
    assert "FAIL  Docker Engine: " in done.stdout
    assert "→" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("verb", [["serve"], ["down"]])
def test_no_docker_is_one_clear_line(environment: dict[str, str], verb: list[str]) -> None:
    done = madang(environment, *verb)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("madang: Docker at")
    assert "docker info" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_is_refused_by_name(environment: dict[str, str], tmp_path: Path) -> None:
    done = madang({**environment, "MADANG_PROT": "8001"}, "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert "MADANG_PROT" in done.stderr
    (tmp_path / "madang.toml").write_text("prot = 8001\n")
    done = madang({**environment, "MADANG_CONFIG": str(tmp_path / "madang.toml")}, "status")
    assert done.returncode == 2
    assert "'prot'" in done.stderr


def test_status_of_nothing_exits_with_3(environment: dict[str, str]) -> None:
    done = madang(environment, "status", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout) == {
        "pid": None, "answers": False, "url": "http://127.0.0.1:8000"}


def test_status_of_one_that_does_not_answer_exits_with_4(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in environment.items():
        if key.startswith("MADANG_"):
            monkeypatch.setenv(key, value)
    monkeypatch.setattr(cli.supervisor, "running", lambda _: 7)
    monkeypatch.setattr(cli.supervisor, "healthy", lambda _: False)
    with pytest.raises(typer.Exit) as ended:
        cli.status()
    assert ended.value.exit_code == 4
    assert "does not answer" in capsys.readouterr().out


def test_a_roster_is_loaded_whole_or_not_at_all(
    environment: dict[str, str], roster: Path, tmp_path: Path
) -> None:
    assert madang(environment, "roster", "load", str(roster)).returncode == 0
    bad = tmp_path / "bad.csv"
    bad.write_text("name,group,role\nnew,ai-2,student\nx,ai-2,king\n")
    done = madang(environment, "roster", "load", str(bad))
    assert done.returncode == 2
    assert f"{bad}:3:" in done.stderr
    people = json.loads(madang(
        {**environment, "MADANG_AUTHENTICATOR": "pam"}, "accounts", "--json").stdout)
    assert {x["name"] for x in people} == {"mina", "teacher", "root"}
    # passwords are the demo's alone
    assert not any("password" in x for x in people)


def test_check_changes_nothing(environment: dict[str, str], roster: Path, tmp_path: Path) -> None:
    done = madang(environment, "roster", "check", str(roster))
    assert done.returncode == 0
    assert "1 students, 1 instructors, 1 operators" in done.stdout
    assert not (tmp_path / "data").exists()
    assert "Traceback" not in madang(environment, "roster", "check", "/nowhere.csv").stderr


def test_upgrade_twice_does_nothing_the_second_time(environment: dict[str, str]) -> None:
    assert "newest schema" in madang(environment, "database", "upgrade").stdout
    assert madang(environment, "database", "upgrade").stdout == "Nothing to do.\n"


def test_a_backup_can_be_opened_and_is_private(
    environment: dict[str, str], roster: Path, tmp_path: Path
) -> None:
    assert madang(environment, "database", "backup", str(tmp_path / "none")).returncode == 2
    madang(environment, "roster", "load", str(roster))
    done = madang(environment, "database", "backup", str(tmp_path / "copies"))
    assert done.returncode == 0, done.stderr
    copies = list((tmp_path / "copies").glob("clitest-*/madang.sqlite"))
    assert len(copies) == 1
    assert copies[0].stat().st_mode & 0o077 == 0
    copy = sqlite3.connect(copies[0])
    assert copy.execute("select count(*) from members").fetchone() == (3,)
    copy.close()


def test_settings_show_what_is_in_force(environment: dict[str, str]) -> None:
    values = json.loads(madang({**environment, "MADANG_PORT": "9000"}, "settings", "--json").stdout)
    assert values["port"] == 9000
    assert values["name"] == "clitest"


def test_the_unit_can_be_printed(environment: dict[str, str]) -> None:
    said = madang(environment, "serve", "--systemd-unit").stdout
    assert "[Service]" in said
    assert "clitest.service" in said
