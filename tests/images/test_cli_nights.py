"""Sweeps, planned runs, reruns and schedules on the command line, against the real service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from madang import sweeps
from madang.client import Problem

from tests.face.running import NOTEBOOK, PREFIX, Running, running, until
from tests.images.test_cli import environment, madang

PYTHON = (sys.executable, "-c", "from madang.cli import main; main()")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cli"), snapshot_mib=5, timezone="Asia/Seoul") as made:
        yield made


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "study.ipynb"
    path.parent.mkdir()
    path.write_text(json.dumps(NOTEBOOK))
    return path


def call(service: Running, *words: object, **more: str) -> "subprocess.CompletedProcess[str]":
    return madang(f"{service.url}{PREFIX}api", *words, **{"MADANG_TOKEN": "t-ana"} | more)


def asked(service: Running, *words: object) -> Any:
    done = call(service, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def submit(service: Running, book: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    return call(service, "run", "submit", book, "--profile", "1g.5gb", *words)


# ---- what is typed ------------------------------------------------------------------------------


@pytest.mark.parametrize(("pairs", "values"), [
    (["lr=0.1,0.01"], {"lr": [0.1, 0.01]}), (["seed=0..4"], {"seed": [0, 1, 2, 3, 4]}),
    (["n=3..1"], {"n": [3, 2, 1]}), (["n=-1..1,7"], {"n": [-1, 0, 1, 7]}),
    (["name=a,b c"], {"name": ["a", "b c"]}), (["x=1"], {"x": [1]}), (["x=1..1"], {"x": [1]}),
    (["w=[[1, 2], [3]]"], {"w": [[1, 2], [3]]}), (["b=true,false"], {"b": [True, False]}),
    (["v=1.5..2"], {"v": ["1.5..2"]}), ([], {}),
])
def test_values_of_a_sweep(pairs: list[str], values: dict[str, list[Any]]) -> None:
    assert sweeps.values(pairs) == values


@pytest.mark.parametrize("bad", [
    ["lr"], ["lr="], ["=1"], ["a b=1"], ["x=1,,2"], ["x=,"], ["x=[]"], ["x=[1"], ["x=0..5000"],
    ["x=1", "x=2"], ["1x=1"],
])
def test_what_is_no_value_of_a_sweep(bad: list[str]) -> None:
    with pytest.raises(Problem):
        sweeps.values(bad)


# ---- runs ---------------------------------------------------------------------------------------


def test_a_sweep_is_followed_to_its_end(service: Running, book: Path) -> None:
    def end_all() -> bool:
        for id, found in list(service.engine.found.items()):
            if found.running:
                service.engine.files[id, "run.json"] = json.dumps(
                    {"id": id, "attempt": 1, "metrics": {"loss": 0.5}}).encode()
                service.engine.exit(id, 0)
        return not service.batch.counts()

    made = asked(service, "run", "submit", book, "--profile", "1g.5gb", "--sweep", "epochs=1..3",
                 "--detach")
    assert made["count"] == 3
    until(end_all, "all have ended")
    table = call(service, "run", "list", "--sweep", made["id"])
    rows = [x.split() for x in table.stdout.splitlines()]
    assert rows[0] == ["ID", "STAGE", "epochs", "loss"]
    assert [x[1:] for x in rows[1:]] == [["succeeded", str(i), "0.5"] for i in (1, 2, 3)]
    assert asked(service, "run", "list", "--sweep", made["id"])[0]["parameters"] == {"epochs": 1}


def test_a_sweep_that_is_watched_says_how_far_it_is(service: Running, book: Path) -> None:
    watch = subprocess.Popen(
        [*PYTHON, "run", "submit", str(book), "--profile", "1g.5gb", "--sweep", "epochs=1,2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(f"{service.url}{PREFIX}api", MADANG_TOKEN="t-ana"),
    )
    until(lambda: sum(x.running for x in service.engine.found.values()) == 2, "both run", 30)
    for code, id in enumerate(sorted(service.engine.found)):
        if service.engine.found[id].running:
            service.engine.exit(id, 138 if code % 2 else 0)
    said, told = watch.communicate(timeout=60)
    assert "Traceback" not in told
    assert told.splitlines()[0].endswith(": 2 runs")
    assert "STAGE" in said
    stages = [x.split()[1] for x in said.splitlines()[1:]]
    assert watch.returncode == (138 if "kernel-died" in stages else 0)


def test_a_run_at_night_is_not_waited_for(service: Running, book: Path) -> None:
    done = submit(service, book, "--at", "02:00", "--retries", "2")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    id = first.split()[1].rstrip(":")
    assert "not before" in second
    assert "17:00" in second or "02:00" in second, "in whichever zone it is said"
    found = asked(service, "run", "show", id)
    assert (found["stage"], found["retries"]) == ("planned", 2)
    after = submit(service, book, "--after", id)
    assert f"after {id} has succeeded" in after.stdout
    assert "planned" in call(service, "run", "list").stdout
    call(service, "run", "cancel", id)


@pytest.mark.parametrize(("words", "says"), [
    (("--at", "tonight"), "is no time. Write 02:00"), (("--after", "nobody"), "no run nobody"),
    (("--sweep", "epochs="), "--sweep wants"), (("--sweep", "unknown=1,2"), "does not know"),
    (("--sweep", "epochs=1", "-p", "epochs=2"), "swept as well"),
    (("--retries", "99"), "--retries"),
])
def test_what_is_refused(service: Running, book: Path, words: tuple[str, ...], says: str) -> None:
    done = submit(service, book, *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_rerun_says_what_differs(service: Running, book: Path) -> None:
    made = asked(service, "run", "submit", book, "--profile", "1g.5gb", "-d")
    again = call(service, "run", "rerun", made["id"], "-p", "epochs=9", "-d")
    assert again.returncode == 0, again.stderr
    assert "epochs is 9" in again.stderr
    id = again.stdout.split()[1].rstrip(":")
    assert asked(service, "run", "show", id)["parameters"] == {"epochs": 9}
    for x in (made["id"], id):
        call(service, "run", "cancel", x)


# ---- schedules ----------------------------------------------------------------------------------


def test_a_schedule_from_add_to_remove(service: Running, book: Path) -> None:
    words = ("schedule", "add", book, "--name", "밤 실험", "--cron", "0 2 * * *", "--profile",
             "1g.5gb", "-p", "epochs=3", "--catch-up", "6h")
    done = call(service, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("schedule 밤 실험: next ")
    twice = call(service, *words)
    assert (twice.returncode, "already" in twice.stderr) == (2, True)
    assert call(service, *words, "--replace", "--overlap", "queue").returncode == 0
    (listed,) = asked(service, "schedule", "list")
    assert (listed["overlap"], listed["zone"], listed["parameters"]) == (
        "queue", "Asia/Seoul", {"epochs": 3})
    assert "0 2 * * *" in call(service, "schedule", "list").stdout
    shown = call(service, "schedule", "show", listed["id"][:5])
    assert "none of its times has come yet" in shown.stdout
    assert "is paused" in call(service, "schedule", "pause", "밤 실험").stdout
    assert "paused" in call(service, "schedule", "list").stdout
    assert "next" in call(service, "schedule", "resume", "밤 실험").stdout
    assert "its output goes to" in call(service, "schedule", "run-now", "밤 실험").stdout
    (run,) = asked(service, "run", "list", "--schedule", "밤 실험")
    assert run["schedule"] == listed["id"]
    call(service, "run", "cancel", run["id"])
    other = asked(service, "schedule", "run-now", "밤 실험", "-p", "epochs=5")
    assert (run["parameters"], other["parameters"]) == ({"epochs": 3}, {"epochs": 5})
    call(service, "run", "cancel", other["id"])
    assert "removed" in call(service, "schedule", "remove", "밤 실험").stdout
    assert "no schedules yet" in call(service, "schedule", "list").stdout
    gone = call(service, "schedule", "show", "밤 실험")
    assert (gone.returncode, "no schedule" in gone.stderr) == (2, True)


@pytest.mark.parametrize(("words", "says"), [
    (("--cron", "0 2 * *"), "five fields"), (("--cron", "0 2 * * *", "--zone", "X"), "time zone"),
    (("--cron", "0 2 * * *", "--overlap", "x"), "overlap"),
    (("--cron", "0 2 * * *", "--catch-up", "1w"), "catch up"), ((), "--cron"),
])
def test_what_no_schedule_can_be(
    service: Running, book: Path, words: tuple[str, ...], says: str
) -> None:
    done = call(service, "schedule", "add", book, "--name", "x", "--profile", "1g.5gb", *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_it_speaks_korean(service: Running, book: Path) -> None:
    korean = {"LANG": "ko_KR.UTF-8"}
    assert "일정이 없습니다" in call(service, "schedule", "list", **korean).stdout
    bad = submit(service, book, "--sweep", "epochs=")
    assert bad.returncode == 2
    refused = call(service, "schedule", "add", book, "--name", "x", "--profile", "1g.5gb",
                   "--cron", "bad", **korean)
    assert "다섯 칸" in refused.stderr
