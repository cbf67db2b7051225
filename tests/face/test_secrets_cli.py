"""`madang secret …`, called as an operator calls it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALUE = "s3cret-value"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MADANG_")}
    return {
        **plain, "MADANG_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT), "COLUMNS": "200",
        "NO_COLOR": "1",
    }


def madang(
    env: dict[str, str], *words: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hub.face.cli", "secret", *words]
    return subprocess.run(argv, env=env, cwd="/", text=True, capture_output=True, timeout=60,
                          check=False, input=given)


def test_set_list_change_remove(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,group,role\nana,ml,student\n")
    argv = [sys.executable, "-m", "hub.face.cli", "roster", "load", str(tmp_path / "people.csv")]
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    done = madang(environment, "set", "TOKEN", "--group", "ml", "--user", "ana", "--env",
                  given=VALUE + "\n")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "TOKEN is kept for group ml, ana.\n"
    done = madang(environment, "set", "TOKEN", "--keep-value", "--group", "m1")
    assert "nobody and no group called 'm1'" in done.stderr
    shown = madang(environment, "list", "--json")
    assert json.loads(shown.stdout) == [
        {"name": "TOKEN", "groups": ["m1"], "users": [], "env": False}]
    assert "TOKEN" in madang(environment, "list").stdout
    assert VALUE not in shown.stdout + shown.stderr
    assert madang(environment, "remove", "TOKEN").stdout == "TOKEN is forgotten.\n"
    done = madang(environment, "remove", "TOKEN")
    assert (done.returncode, done.stderr) == (
        2, "madang: There is no secret TOKEN: `madang secret list`.\n")


def test_it_is_asked_for_at_a_terminal_and_not_shown(environment: dict[str, str]) -> None:
    control, terminal = pty.openpty()
    argv = [sys.executable, "-m", "hub.face.cli", "secret", "set", "TOKEN", "--user", "ana"]
    child = subprocess.Popen(argv, env=environment, cwd="/", stdin=terminal, stdout=terminal,
                             stderr=terminal, start_new_session=True)
    os.close(terminal)
    said = b""
    while b"not shown" not in said:
        said += os.read(control, 1000)
    os.write(control, VALUE.encode() + b"\n")
    while b"is kept" not in said:
        said += os.read(control, 1000)
    # who closes a terminal at once hangs up on what still writes there
    assert child.wait(60) == 0
    os.close(control)
    assert VALUE.encode() not in said


@pytest.mark.parametrize(("words", "said"), [
    (("set", "TOKEN"), "Say who may use it"), (("set", "../x", "--group", "ml"), "is no name"),
    (("set", "TOKEN", "--group", "ml", "--keep-value"), "There is no secret TOKEN"),
])
def test_a_mistake_is_one_line(
    environment: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    done = madang(environment, *words, given=VALUE)
    assert done.returncode == 2
    assert done.stderr.startswith("madang: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_masked_is_told(environment: dict[str, str]) -> None:
    done = madang(environment, "set", "PIN", "--user", "ana", given="1234\n")
    assert done.returncode == 0
    assert "not masked" in done.stderr
