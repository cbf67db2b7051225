"""Where a submitted run works, and how it is followed step by step, on the command line."""

import base64
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.service import BEGUN, END, RUN, Service
from tests.images.test_cli import NOTEBOOK, madang


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A home's folder with a notebook in it."""
    folder = tmp_path / "home/course"
    (folder / ".git").mkdir(parents=True)
    (folder / "lab.ipynb").write_text(json.dumps(NOTEBOOK))
    (folder / "tools.py").write_text("x = 1")
    return folder


def submit(service: Service, path: Path, *more: object, **env: str) -> list[str]:
    """What it says on stderr."""
    home = {"HOME": str(path.parents[1]), "JUPYTERHUB_USER": "kim"}
    done = madang(
        service, "run", "submit", path, "--profile", "1g.5gb", "-d", *more, **(home | env))
    return (f"{done.returncode}\n" + done.stderr).splitlines()


def test_a_run_takes_a_copy_of_the_notebooks_folder_along(service: Service, course: Path) -> None:
    said = submit(service, course / "lab.ipynb")
    assert said == ["0", "copied along: 1 files, 1 KiB; left out: .git/"]
    sent = base64.b64decode(service.submitted["snapshot"])
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        assert tar.getnames() == ["tools.py"]  # the notebook itself goes without its outputs
    assert service.submitted["cwd"] == ""
    assert submit(service, course / "lab.ipynb", "--json") == ["0"]
    assert submit(service, course / "lab.ipynb", LANG="ko_KR.UTF-8") == [
        "0", "함께 복사함: 파일 1개, 1 KiB. 뺀 것: .git/",
    ]


def test_without_a_copy_it_runs_in_the_folder_itself(service: Service, course: Path) -> None:
    assert submit(service, course / "lab.ipynb", "--no-snapshot") == ["0"]
    assert (service.submitted["cwd"], "snapshot" in service.submitted) == ("course", False)
    assert submit(service, course / "lab.ipynb", "--cwd", "other") == ["0"]
    assert (service.submitted["cwd"], "snapshot" in service.submitted) == ("other", False)


def test_a_home_is_never_copied(service: Service, course: Path) -> None:
    note = course.parent / "lab.ipynb"
    note.write_text(json.dumps(NOTEBOOK))
    said = submit(service, note, HOME=str(course.parent))
    assert said[1:] == [
        "the notebook lies in your home itself, which is not copied: it runs there",
    ]
    assert (service.submitted["cwd"], "snapshot" in service.submitted) == (".", False)


def test_a_folder_that_is_too_large_is_refused_before_anything_is_sent(
    service: Service, course: Path
) -> None:
    (course / "data.bin").write_bytes(os.urandom(3 << 20))
    code, said = submit(service, course / "lab.ipynb", MADANG_SNAPSHOT_MIB="2")
    assert code == "2"
    assert "is more than 2 MiB, packed; the largest files: data.bin (3.0 MiB)" in said
    assert said.endswith("--no-snapshot")
    assert not service.submitted
    assert submit(service, course / "lab.ipynb")[0] == "0"


def test_a_folder_of_only_the_notebook_says_nothing(service: Service, tmp_path: Path) -> None:
    note = tmp_path / "home/alone/lab.ipynb"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps(NOTEBOOK))
    assert submit(service, note) == ["0"]
    assert service.submitted["snapshot"]


def test_steps_are_told_by_tenths(service: Service) -> None:
    steps = "".join(f"madang: progress {i}/200\n" for i in range(201))
    service.run = dict(RUN)
    service.script = [
        ("run", BEGUN), ("log", f"madang: cell 2/3\n{steps}madang: progress x/0\n"),
        ("log", "madang: cell 3/3\nmadang: progress 5/0\nmadang: progress 1/2\n"),
        ("run", END), ("end", {}),
    ]
    done = madang(service, "run", "logs", "-f", "ab12")
    assert done.stdout == ""
    assert done.stderr.splitlines()[1:-1] == [
        "cell 2/3", *(f"step {i}/200" for i in range(0, 201, 20)), "cell 3/3", "step 1/2",
    ]
