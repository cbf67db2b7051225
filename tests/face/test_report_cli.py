"""`madang report`, `madang run diff`, `madang run export` against the service itself."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.runs import RunStage
from tests.face.nights import over
from tests.face.running import PREFIX, Running, running
from tests.images.test_cli import madang
from tests.notebooks import code, notebook, png, shown, text

TRICK = "\x1b[2J\x1b]0;pwned\x07[red]한글"
FIRST = notebook(text("t", "# 숫자"), code("p", "lr = 0.1"), code("g", "gone"))
SECOND = notebook(
    text("t", "# 숫자"), code("p", f"lr = 0.2  # {TRICK}"),
    code("n", "plot()", shown("image/png", png()), shown("text/html", "<script>alert(1)</script>")),
)
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nights")) as made:
        over(made, "aa01", ago=30, output=FIRST, metrics={"loss": 0.4, "best": "a"})
        over(made, "aa02", ago=2, output=SECOND, metrics={"loss": 0.3, "best": "b"},
             notebook="night.ipynb", memory_peak_mib=900)
        over(made, "aa03", stage=RunStage.FAILED, notebook=f"{TRICK}.ipynb", cells=12,
             error={"cell": 7, "ename": "KeyError", "evalue": TRICK, "lines": ["one", TRICK]})
        over(made, "ss01", sweep="sweep1", notebook="s.ipynb")
        over(made, "bb01", user="bo", output=FIRST)
        yield made


def say(service: Running, *arguments: object, who: str = "ana", **more: str) -> Done:
    api = f"{service.url}{PREFIX}api"
    return madang(api, *arguments, **({"MADANG_TOKEN": f"t-{who}"} | more))


def test_the_report_in_a_terminal(service: Running) -> None:
    done = say(service, "report", "--since", "24h")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "2 succeeded, 1 went wrong, 0 not ended yet" in said.splitlines()[0]
    assert "cell 7/12" in said
    assert "    one\n" in said
    row = next(x for x in said.splitlines() if x.startswith("aa02"))
    for part in ("night.ipynb", "succeeded", "5m00s", "900 MiB", "loss=0.3 -0.1 (-25.0%)"):
        assert part in row
    assert "sweep sweep1 of s.ipynb: 1 succeeded" in said
    assert "bb01" not in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_the_report_as_json_and_of_somebody(service: Running) -> None:
    found = json.loads(say(service, "report", "--json", "--for", "bo", who="operator").stdout)
    assert [x["run"]["id"] for x in found["runs"]] == ["bb01"]
    refused = say(service, "report", "--for", "bo")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "your own runs" in refused.stderr
    assert say(service, "report", "--since", "soon").returncode == 2


def test_the_report_in_korean(service: Running) -> None:
    assert "성공 2개" in say(service, "report", LANG="ko_KR.UTF-8").stdout


def test_the_report_as_a_page(service: Running, tmp_path: Path) -> None:
    target = tmp_path / "night.html"
    done = say(service, "report", "--html", target, LANG="ko_KR.UTF-8")
    assert (done.returncode, str(target) in done.stdout) == (0, True), done.stderr
    page = target.read_text()
    assert 'lang="ko"' in page
    assert "night.ipynb" in page
    assert "<script" not in page
    assert say(service, "report", "--html", "-").stdout.startswith("<!doctype html>")
    assert say(service, "report", "--html", tmp_path).returncode == 2
    assert "one of" in say(service, "report", "--html", target, "--json").stderr
    assert say(service, "report", "--html", target, "--for", "bo").returncode == 2


def test_a_diff_in_a_terminal(service: Running) -> None:
    said = say(service, "run", "diff", "aa01", "aa02").stdout
    assert "cells: 1 changed, 1 new, 1 removed, 1 with the same source" in said
    assert "    - lr = 0.1\n    + lr = 0.2" in said
    assert "pictures: 0 before, 1 now" in said
    assert "-0.1 (-25.0%)" in said
    assert "\x1b" not in said
    same = say(service, "run", "diff", "aa01", "aa01").stdout
    assert "as before" in same
    assert json.loads(say(service, "run", "diff", "aa01", "aa02", "--json").stdout)["notebook"]
    missing = say(service, "run", "diff", "aa01", "aa03")
    assert missing.returncode == 2
    assert "not kept" in missing.stderr
    assert say(service, "run", "diff", "aa01", "bb01").returncode == 2


def test_a_run_as_a_file(service: Running, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    assert say(service, "run", "export", "aa02", "--html", target).returncode == 0
    page = target.read_text()
    assert "숫자" in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "<h1>" in say(service, "run", "export", "aa02", "-", "--html").stdout
    notebook_file = tmp_path / "out.ipynb"
    assert say(service, "run", "export", "aa02", notebook_file).returncode == 0
    assert json.loads(notebook_file.read_text()) == SECOND
    nowhere = say(service, "run", "export", "aa02", tmp_path / "no" / "folder.html", "--html")
    assert nowhere.returncode == 2
    assert "cannot write" in nowhere.stderr
    assert say(service, "run", "export", "aa03", "--html", target).returncode == 2
    assert target.read_text() == page


def test_a_file_is_named_after_the_run(
    service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say(service, "run", "export", "aa02").stdout
    assert "night-aa02.ipynb" in said
    assert [x.name for x in tmp_path.iterdir()] == ["night-aa02.ipynb"]
