"""`madang course …` against the real service: what it says, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.face.courses import FIRST, PWN, SECOND, book, cell, edited, file_of, published
from tests.face.running import PREFIX, Running, running, until
from tests.images.test_cli import madang

NOTEBOOK = "week1/tensors.ipynb"
KO = {"LANG": "ko_KR.UTF-8"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cli"), snapshot_mib=5, timezone="Asia/Seoul") as made:
        # each gets what is new when the test says so, not by the tick
        made.app.state.attending._looked = float("inf")
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A course of the test's own."""
    made = request.node.originalname.removeprefix("test_").replace("_", "-")[:40].strip("-")
    return str(made)


@pytest.fixture
def folder(tmp_path: Path, name: str) -> Path:
    """Its folder, as an instructor has it."""
    put(tmp_path / name, FIRST)
    return tmp_path / name


def put(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def call(
    service: Running, *words: object, who: str = "teacher", **more: str
) -> "subprocess.CompletedProcess[str]":
    api = f"{service.url}{PREFIX}api"
    return madang(api, "course", *words, **{"MADANG_TOKEN": f"t-{who}"} | more)


def asked(service: Running, *words: object, who: str = "ana") -> Any:
    done = call(service, *words, "--json", who=who)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- instructors --------------------------------------------------------------------------------


def test_preview_then_publish(service: Running, folder: Path, name: str) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "runs").mkdir()
    (folder / "runs" / "a.txt").write_text("runs is a name like others")
    seen = call(service, "preview", folder)
    assert seen.returncode == 0, seen.stderr
    lines = seen.stdout.splitlines()
    assert lines[0] == f"{name}: the first release"
    assert {f"  + {NOTEBOOK}", "  + week1/help.py", "  + runs/a.txt"} <= set(lines)
    assert seen.stderr == "left out: .git/\n"
    done = call(service, "publish", folder, "--notes", "Week 1")
    assert done.returncode == 0, done.stderr
    assert f"{name}: release 1 is published, 3 files, 1 notebooks" in done.stdout
    (folder / "week1" / "help.py").write_text("one = 2\n")
    assert "  ~ week1/help.py" in call(service, "preview", folder).stdout
    shown = call(service, "show", name, who="ana").stdout
    assert "Week 1" in shown
    assert name in call(service, "list", who="ana").stdout


def test_what_would_be_refused(service: Running, folder: Path) -> None:
    (folder / "bad.ipynb").write_text('{"cells": [\n,')
    (folder / f"{PWN[:4]}.ipynb").write_text("{}")
    seen = call(service, "preview", folder)
    assert seen.returncode == 1
    assert "bad.ipynb:2: refused: " in seen.stdout
    done = call(service, "publish", folder, "--notes", "x")
    assert done.returncode == 2
    assert "bad.ipynb:2: refused: " in done.stderr
    assert done.stderr.endswith("madang: nothing was published\n")
    assert "거절" in call(service, "preview", folder, **KO).stdout


@pytest.mark.parametrize(("words", "code", "says"), [
    (("preview", "/none"), 2, "no folder"), (("publish", "."), 2, "name"),
    (("withdraw", "none", "1"), 2, "no course"), (("students", "none"), 2, "no course"),
    (("withdraw", "x"), 2, "N"), (("show", "none"), 2, "no course"),
    (("undo", "none"), 2, "no course"), (("fresh", "a.txt", "--course", "none"), 2, "no course"),
])
def test_what_is_refused(
    service: Running, words: tuple[str, ...], code: int, says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = tmp_path / "No Name"
    wrong.mkdir()
    monkeypatch.chdir(wrong)
    done = call(service, *words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert says in done.stderr


def test_a_student_or_a_servers_token_cannot_publish(service: Running, folder: Path) -> None:
    for who, says in (("ana", "instructor"), ("teacher-server", "MADANG_TOKEN")):
        done = call(service, "publish", folder, who=who)
        assert (done.returncode, says in done.stderr) == (2, True)


def test_madang_is_not_reached(folder: Path) -> None:
    done = madang("http://127.0.0.1:9/api", "course", "publish", folder)
    assert done.returncode == 3


def test_check_runs_every_notebook(service: Running, folder: Path) -> None:
    put(folder, {"week2/cnn.ipynb": book("x")})

    def end_all() -> bool:
        for id, found in list(service.engine.found.items()):
            if found.running:
                bad = "cnn" in service.batch.get(id).notebook
                service.engine.files[id, "run.json"] = json.dumps({
                    "id": id, "attempt": 1, "error": {
                        "cell": 2, "ename": "NameError", "evalue": "x", "lines": ["x is no name"]},
                } if bad else {"id": id, "attempt": 1}).encode()
                service.engine.exit(id, int(bad))
        return watch.poll() is not None

    from tests.images.test_cli import environment
    from tests.images.test_cli_nights import PYTHON

    watch = subprocess.Popen(
        [*PYTHON, "course", "check", str(folder)], stdout=subprocess.PIPE, text=True,
        env=environment(f"{service.url}{PREFIX}api", MADANG_TOKEN="t-teacher"),
    )
    until(end_all, "all have ended and were told", 60)
    said, _ = watch.communicate()
    assert watch.returncode == 1
    assert f"{NOTEBOOK}  succeeded" in said
    assert "week2/cnn.ipynb  failed  cell 2" in said
    assert "    x is no name" in said


def test_the_table_of_students_and_withdrawing(
    service: Running, folder: Path, name: str
) -> None:
    assert call(service, "publish", folder).returncode == 0
    assert call(service, "update", name, who="ana").returncode == 0
    rows = [x.split() for x in call(service, "students", name).stdout.splitlines()]
    assert rows[0][:2] == ["STUDENT", "RELEASE"]
    assert {x[0]: x[1] for x in rows[1:]} == {"ana": "1", "bo": "-"}
    assert asked(service, "students", name, who="teacher")[0]["executed"][NOTEBOOK] == {
        "run": 0, "cells": 3}
    gone = call(service, "withdraw", name, 1)
    assert gone.stdout == f"{name}: release 1 is withdrawn\n"
    assert f"{name}: nothing new" in call(service, "update", name, who="bo").stdout


# ---- students -----------------------------------------------------------------------------------


def test_update_take_undo(service: Running, name: str) -> None:
    published(service, FIRST, course=name)
    first = call(service, "update", name, who="ana")
    assert first.returncode == 0, first.stderr
    assert f"{name}: release 1, update 1" in first.stdout
    edited(service, "ana", NOTEBOOK, cell("c1", "a = 'mine'"), name)
    published(service, SECOND, course=name)
    done = call(service, "update", name, who="ana")
    assert f"  {NOTEBOOK}: side by side\n    c1: " in done.stdout
    assert "side by side: 1; choose in Lab" in done.stdout
    assert call(service, "update", name, who="ana").stdout == f"{name}: nothing new\n"
    (mine,) = (x for x in asked(service, "list") if x["name"] == name)
    assert (mine["mine"], mine["conflicts"]) == (2, 1)
    assert [x["update"] for x in asked(service, "updates", name)] == [2, 1]
    assert "c2: the instructor's new version" in call(
        service, "updates", name, 2, who="ana").stdout
    taken = call(service, "take", NOTEBOOK, "c1", "--course", name, who="ana")
    assert taken.stdout == f"{NOTEBOOK}: 0 left side by side\n"
    assert "a = 10" in file_of(service, "ana", NOTEBOOK, name).read_text()
    again = call(service, "take", NOTEBOOK, "c1", "--mine", "--course", name, who="ana")
    assert again.returncode == 2
    undone = call(service, "undo", name, who="ana").stdout
    assert f"{name}: update 2 is undone\n" in undone
    # it was changed since, by the choice: it stays, and where the old one lies is told
    assert f"  {NOTEBOOK}: kept yours → week1/tensors.old.ipynb" in undone
    assert "  week1/help.py: put back" in undone
    assert not file_of(service, "ana", "week2/cnn.ipynb", name).exists()
    assert call(service, "undo", name, 2, who="ana").returncode == 2


def test_a_file_is_named_as_it_lies_in_the_home(
    service: Running, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(service, FIRST, course=name)
    call(service, "update", name, who="bo")
    here = tmp_path / "courses" / name / "week1"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(here)
    file_of(service, "bo", "week1/help.py", name).write_text("spoiled\n")
    done = call(service, "fresh", "help.py", who="bo", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "week1/help.py: " in done.stdout
    assert file_of(service, "bo", "week1/help.py", name).read_text() == "one = 1\n"
    waits = call(service, "update", "--open", "tensors.ipynb", who="bo", HOME=str(tmp_path))
    assert f"{name}: nothing new" in waits.stdout
    korean = call(service, "fresh", "help.py", who="bo", HOME=str(tmp_path), **KO)
    assert "나눠 준 그대로" in korean.stdout


def test_it_speaks_korean(service: Running, name: str) -> None:
    published(service, FIRST, course=name)
    assert "새 파일" in call(service, "update", name, who="ana", **KO).stdout
    assert "새로운 것이 없습니다" in call(service, "update", name, who="ana", **KO).stdout
    assert "강좌" in call(service, "show", "none", who="ana", **KO).stderr


def test_who_reads_may_stop_reading() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "from madang.cli import main; main()", "run", "submit", "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as done:
        assert done.stdout
        assert done.stderr
        done.stdout.close()
        assert (done.wait(), done.stderr.read()) == (1, "")
