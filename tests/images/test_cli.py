"""The command line against a service over real HTTP: what it says, and how it ends."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.bench import PACKAGE
from tests.images.service import BEGUN, END, GOES_WELL, LINE, RUN, TOKEN, Service

NOTEBOOK = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {"madang": {"run": "old"}},
    "cells": [{"cell_type": "code", "id": "a", "source": "1", "metadata": {},
               "execution_count": 3, "outputs": [{"output_type": "stream"}]}],
}


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def service(running: Service) -> Service:
    running.script, running.run, running.breaks = GOES_WELL, dict(RUN), 0
    running.line = [dict(LINE)]
    running.asked, running.submitted, running.connections = [], {}, 0
    running.lost, running.keys = [], []
    return running


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tmp_path / "lab.ipynb"
    path.write_text(json.dumps(NOTEBOOK))
    return path


def environment(api: str, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME"}}
    return {**kept, "PYTHONPATH": str(PACKAGE), "MADANG_API": api, "MADANG_TOKEN": TOKEN,
            "LANG": "en_US.UTF-8", "PYTHONIOENCODING": "utf-8", **more}


def madang(
    service: Service | str, *arguments: object, **more: str
) -> "subprocess.CompletedProcess[str]":
    api = service if isinstance(service, str) else service.api
    done = subprocess.run(
        [sys.executable, "-c", "from madang.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env=environment(api, **more),
    )
    assert "Traceback" not in done.stderr
    return done


def submit(service: Service, path: Path, *more: object) -> "subprocess.CompletedProcess[str]":
    return madang(service, "run", "submit", path, "--profile", "1g.5gb", *more)


# ---- following ----------------------------------------------------------------------------


def test_a_submitted_run_is_followed_to_its_end(service: Service, notebook: Path) -> None:
    done = submit(service, notebook)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello\n[red]loss 0.1\n"  # what the notebook printed, and only that
    assert done.stderr.splitlines() == [
        "run ab12cd34ef: its output goes to runs/lab-ab12",
        "in the line, number 2 for 1g.5gb", "running", "cell 1/3", "cell 3/3",
        "run ab12cd34ef: succeeded after 1m05s. 3 cells",
    ]


@pytest.mark.parametrize(("stage", "exit_code", "code"), [
    ("failed", 1, 1), ("failed", 2, 2), ("interrupted", 75, 75), ("cancelled", 75, 75),
    ("timed-out", 124, 124), ("out-of-memory", 137, 137), ("lost", None, 137),
    ("kernel-died", 138, 138),
])
def test_the_exit_code_tells_how_the_run_ended(
    service: Service, stage: str, exit_code: int | None, code: int
) -> None:
    end = END | {"stage": stage, "exit_code": exit_code}
    service.script = [("run", BEGUN), ("run", end), ("end", {})]
    done = madang(service, "run", "logs", "-f", "ab12")
    assert done.returncode == code
    assert f"run ab12cd34ef: {stage}" in done.stderr


def test_a_broken_connection_is_taken_up_where_it_broke(service: Service) -> None:
    service.breaks = 2
    service.script = [
        ("run", BEGUN), ("log", "one\nmadang: cell 1/3\ntw"), ("break", None), ("log", "o\n"),
        ("break", None), ("log", "three\n"), ("run", END), ("end", {}),
    ]
    done = madang(service, "run", "logs", "-f", "ab12")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n")
    assert service.connections == 3
    assert "trying again" in done.stderr


def test_one_that_gave_its_slice_back_is_seen_in_the_line_again(service: Service) -> None:
    back = {"stage": "waiting", "attempt": 2, "message": "its slice was needed; it waits again"}
    service.line = [{**service.line[0], "id": "ab12cd34ef-2", "position": 5}]
    service.script = [("run", BEGUN), ("run", back), ("run", BEGUN), ("run", END), ("end", {})]
    said = madang(service, "run", "logs", "-f", "ab12").stderr.splitlines()
    assert said[:4] == [
        "running", "its slice was needed; it waits again", "in the line, number 5 for 1g.5gb",
        "running",
    ]
    service.run |= {"attempt": 2}
    assert "succeeded, attempt 2" in madang(service, "run", "list").stdout
    service.run |= {"metrics": {"loss": 0.1, "손실\x1b[2J": [1, None]}, "message": "a\x9b\nb",
                    "folder": "2026-01-01T00:00\x1b[2J"}
    shown = madang(service, "run", "show", "ab12").stdout
    assert "attempt      2\n" in shown
    assert "\nmetrics\n  loss = 0.1\n  손실 [2J = [1, null]\n" in shown
    assert "message      a  b\n" in shown
    assert not {"\x1b", "\x9b"} & set(shown)


def test_json_is_the_run_and_nothing_else(service: Service, notebook: Path) -> None:
    done = submit(service, notebook, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["stage"] == "succeeded"
    assert done.stderr == ""


def test_detached_it_does_not_wait(service: Service, notebook: Path) -> None:
    for flag in ("--detach", "--no-follow", "-d"):
        done = submit(service, notebook, flag)
        assert (done.returncode, service.connections) == (0, 0)
        assert "ab12cd34ef" in done.stdout
    assert json.loads(submit(service, notebook, "-d", "--json").stdout)["stage"] == "waiting"


def test_ctrl_c_leaves_the_run_and_says_how_to_end_it(service: Service, notebook: Path) -> None:
    service.script = [("run", BEGUN), ("log", "go\n"), ("wait", 20), ("end", {})]
    child = subprocess.Popen(
        [sys.executable, "-c", "from madang.cli import main; main()", "run", "submit",
         str(notebook), "--profile", "1g.5gb"], text=True, env=environment(service.api),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "madang run cancel ab12cd34ef" in said
    assert "Traceback" not in said
    assert ("DELETE", "/runs/ab12cd34ef") not in service.asked


def test_a_terminal_shows_a_bar_and_the_log(service: Service, notebook: Path) -> None:
    service.script = [*GOES_WELL[:4], ("wait", 0.5), *GOES_WELL[4:]]
    main, other = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", "from madang.cli import main; main()", "run", "submit",
         str(notebook), "--profile", "1g.5gb"], stdout=other, stderr=other, stdin=other,
        env=environment(service.api, TERM="xterm-256color"),
    )
    os.close(other)
    shown = read_all(main)
    assert child.wait() == 0
    assert "cell 3/3" in shown
    assert "━" in shown
    assert "[red]loss 0.1" in shown
    assert "succeeded" in shown


def read_all(terminal: int) -> str:
    got = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # EIO: the other side is closed
            piece = b""
        if not piece:
            os.close(terminal)
            return got.decode()
        got += piece


# ---- what is sent -------------------------------------------------------------------------


def test_parameters_keep_their_kind(service: Service, notebook: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("epochs: 1\nday: 2026-01-01\nname: 나무\n")
    done = submit(
        service, notebook, "-d", "-P", tmp_path / "p.yaml", "-p", "epochs=2", "-p", "lr=1e-3",
        "-p", "deep=true", "-p", "flat=False", "-p", "none=null", "-p", "sizes=[1, 2]",
        "-p", "pair=(1, 'a')", "-p", "text=a=b", "-p", "nan=NaN", "-p", "empty=", "-p", 'q="2"',
    )
    assert done.returncode == 0, done.stderr
    assert service.submitted["parameters"] == {
        "epochs": 2, "lr": 0.001, "deep": True, "flat": False, "none": None, "sizes": [1, 2],
        "pair": [1, "a"], "text": "a=b", "nan": "NaN", "empty": "", "q": "2",
        "day": "2026-01-01", "name": "나무",
    }


def test_what_is_submitted(service: Service, notebook: Path) -> None:
    done = submit(service, notebook, "-d", "--timeout", "1h30m", "--for", "lee", "--image", "x",
                  "--cwd", "course", "--group", "인공지능-2025")
    assert done.returncode == 0, done.stderr
    sent = service.submitted
    assert (sent["notebook_name"], sent["profile"], sent["timeout"], sent["user"], sent["image"],
            sent["cwd"], sent["group"]) == (
        "lab.ipynb", "1g.5gb", 5400, "lee", "x", "course", "인공지능-2025")
    cell = sent["notebook"]["cells"][0]
    assert (cell["outputs"], cell["execution_count"]) == ([], None)  # a run makes its own
    assert "run" not in sent["notebook"]["metadata"]["madang"]


def test_the_git_commit_goes_along(service: Service, notebook: Path) -> None:
    git = ("git", "-C", str(notebook.parent), "-c", "user.name=k", "-c", "user.email=k@k")
    for command in (("init", "-q"), ("add", "lab.ipynb"), ("commit", "-qm", "one")):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    submit(service, notebook, "-d")
    assert service.submitted["notebook"]["metadata"]["madang"] == {"commit": head.stdout.strip()}
    notebook.write_text(json.dumps({**NOTEBOOK, "nbformat_minor": 4}))
    submit(service, notebook, "-d")
    sent = service.submitted["notebook"]["metadata"]["madang"]["commit"]
    assert sent == head.stdout.strip() + "-dirty"


def test_in_a_server_it_runs_beside_the_notebook(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "course/lab.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(NOTEBOOK))
    at = {"HOME": str(tmp_path), "JUPYTERHUB_USER": "kim"}
    madang(service, "run", "submit", path, "--profile", "1g.5gb", "-d", "--no-snapshot", **at)
    assert service.submitted["cwd"] == "course"


# ---- tables -------------------------------------------------------------------------------


def test_tables_are_aligned_in_korean_too(service: Service) -> None:
    done = madang(service, "slices")
    head, held, free = done.stdout.splitlines()
    at = head.index("CARD")
    assert free[at:].strip() == "A100-SXM4-40GB"
    assert held.index("A100") == at - len("김민수")  # each of these letters is two columns wide
    assert held.split()[:6] == ["0", "1g.5gb", "4", "held", "4864", "-"]  # not known is not 0
    assert free.split()[5] == "0"


def test_each_verb_has_json(service: Service) -> None:
    for verb in ("slices", "line", "leases", "whoami", "run list", "run show ab12", "run logs ab12",
                 "run cancel ab12", "lease end l1"):
        done = madang(service, *verb.split(), "--json")
        assert done.returncode == 0, (verb, done.stderr)
        json.loads(done.stdout)


def test_texts_of_the_other_verbs(service: Service) -> None:
    said = {verb: madang(service, *verb.split()).stdout for verb in (
        "leases", "whoami", "run list", "run logs ab12", "run cancel ab12", "lease end l1")}
    assert said["leases"] == "no leases\n"
    assert said["whoami"].splitlines()[1].split() == ["kim", "no", "ai", "-"]
    assert "3/3" in said["run list"]
    assert said["run logs ab12"] == "hello\n안녕\n"
    assert said["run cancel ab12"] == "run ab12cd34ef: stopping\n"
    assert said["lease end l1"] == "lease l1: draining\n"


def test_korean(service: Service) -> None:
    assert madang(service, "leases", LANG="ko_KR.UTF-8").stdout == "대여가 없습니다\n"
    assert service.language == "ko"
    assert madang(service, "leases", LC_ALL="C", LANG="ko_KR.UTF-8").stdout == "no leases\n"
    assert madang(service, "leases", MADANG_LANG="ko").stdout == "대여가 없습니다\n"


# ---- what can go wrong --------------------------------------------------------------------


def test_mistakes_are_one_clear_line(service: Service, notebook: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ipynb").write_text("{\n not json")
    (tmp_path / "list.ipynb").write_text("[]")
    (tmp_path / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "p.json").write_text("[1]")
    with (tmp_path / "large.ipynb").open("wb") as f:
        f.truncate(300 << 20)
    cases: list[tuple[list[Any], str]] = [
        (["nowhere.ipynb"], "there is no file nowhere.ipynb"),
        ([tmp_path], "cannot read"),
        ([tmp_path / "bad.ipynb"], "not JSON (line 2"),
        ([tmp_path / "list.ipynb"], "has no list of cells"),
        ([tmp_path / "binary.ipynb"], "cannot read"),
        ([tmp_path / "large.ipynb"], "is 300 MiB"),
        ([notebook, "-p", "epochs"], "-p wants NAME=VALUE, not 'epochs'"),
        ([notebook, "-p", "1a=2"], "-p wants NAME=VALUE"),
        ([notebook, "-P", tmp_path / "p.json"], "one object of names and values"),
        ([notebook, "--timeout", "soon"], "--timeout wants seconds"),
        ([notebook, "--profile", "9g.1gb"], "There are: 1g.5gb, 2g.10gb."),
    ]
    for arguments, text in cases:
        done = submit(service, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), (arguments, done)
        assert text in done.stderr
        assert done.stderr.startswith("madang: ")
        assert len(done.stderr.splitlines()) == 1


def test_refusals_of_the_service(service: Service) -> None:
    done = madang(service, "run", "show", "zz")
    assert (done.returncode, done.stderr) == (2, "madang: There is no run zz.\n")
    done = madang(service, "whoami", MADANG_TOKEN="wrong")
    assert (done.returncode, done.stderr) == (2, "madang: Log in first.\n")


def test_a_service_that_is_away(service: Service) -> None:
    began = time.monotonic()
    for verb in ("whoami", "run logs -f ab12"):
        done = madang("http://127.0.0.1:9/api", *verb.split())
        assert done.returncode == 3
        assert "does not answer at http://127.0.0.1:9/api" in done.stderr
    assert time.monotonic() - began < 60
    assert madang(service, "offers").returncode == 3  # a page that is not the service's
    done = madang(service, "whoami", MADANG_API="", MADANG_TOKEN="")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert madang("nonsense", "whoami").returncode == 3


def test_wrong_use(service: Service, notebook: Path) -> None:
    assert madang(service, "run", "submit", notebook).returncode == 2  # no --profile
    assert madang(service, "fly").returncode == 2


def test_the_help_lists_the_exit_codes(service: Service) -> None:
    said = madang(service, "run", "--help").stdout
    for code in ("  0  ", "  1  ", "  2  ", "  3  ", " 75  ", "124  ", "137  ", "138  "):
        assert code in said
