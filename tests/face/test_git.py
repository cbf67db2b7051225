"""Courses over git: real git, against the service; what it says, what it refuses, who may."""

import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.publishing import Publishing
from tests.edge.pushing import Work
from tests.face.pushes import BOOK, TOML, Person, good, kept
from tests.face.running import NOTEBOOK, PREFIX, Running, running, until

SCHEDULE = """
[[schedules]]
name = "nightly"
notebook = "week1/a.ipynb"
cron = "61 2 * * *"
profile = "1g.5gb"
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, course_mib=60, course_file_mib=5, course_files=200) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service with a course, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("standing")
    with running(folder) as made:
        teacher = Person(folder / "teacher", made, "t-teacher")
        good(teacher)
        teacher.push()
        yield made


# ---- the way of a course -------------------------------------------------------------------------


def test_a_push_is_a_release_and_members_have_it(
    publishing: Publishing, teacher: Person, student: Person
) -> None:
    commit = good(teacher)
    said = teacher.remote(teacher.push())
    assert "  + week1/a.ipynb" in said
    assert "Release 1 of torch is out: everybody has it at the next start." in said
    made = publishing.release("torch", 1)
    assert (made.commit, made.by, made.notes) == (commit, "teacher", "the first week")
    folder, _ = student.clone()
    assert [x.name for x in folder.rglob("*.ipynb")] == ["a.ipynb"]
    assert not (folder / "course.toml").exists()
    mine, _ = teacher.clone()
    assert (mine / "course.toml").read_text() == TOML


def test_the_next_push_says_what_was_changed_and_a_pull_has_it(
    publishing: Publishing, teacher: Person, student: Person
) -> None:
    good(teacher)
    teacher.push()
    folder, _ = student.clone()
    teacher.put("week1/a.ipynb", BOOK.replace("epochs = 1", "epochs = 2")).put("b.txt", "b")
    teacher.commit("more")
    said = teacher.remote(teacher.push())
    assert "  ~ week1/a.ipynb" in said
    assert "  + b.txt" in said
    assert "Release 2 of torch is out: everybody has it at the next start." in said
    subprocess.run(["git", "pull", "-q"], cwd=folder, env=student.environment, check=True)
    assert (folder / "b.txt").read_text() == "b"
    assert [x.number for x in publishing.releases("torch")] == [2, 1]


def test_a_refused_push_changes_nothing_and_says_what_by_file_and_line(
    publishing: Publishing, teacher: Person
) -> None:
    good(teacher)
    teacher.push()
    tip, before = publishing.repo("torch").tip(), kept(publishing)
    teacher.put("b.ipynb", "{\n}").put("x.py", "a = 1\nkey = 'AKIAIOSFODNN7EXAMPLE'\n")
    teacher.put("course.toml", TOML + "visble = 1\n")
    (teacher.folder / "link").symlink_to("/etc/passwd")
    teacher.commit()
    said = teacher.remote(teacher.push(code=1))
    assert "course.toml:3: refused: unknown key 'visble'" in said
    assert any(x.startswith("x.py:2: refused: This looks like an access key of AWS.") for x in said)
    assert any(x.startswith("b.ipynb: refused: This is not a notebook") for x in said)
    assert any(x.startswith("link: refused: This is a link.") for x in said)
    assert said[-1] == "Refused; nothing was changed."
    assert publishing.repo("torch").tip() == tip
    assert kept(publishing) == before
    teacher("reset", "-q", "--hard", "HEAD~1")
    teacher.put("c.txt", "c").commit()
    teacher.push()
    assert publishing.release("torch", 2)


def test_a_first_push_that_is_refused_leaves_no_course_behind(
    publishing: Publishing, teacher: Person
) -> None:
    teacher.put("a.ipynb", "no").commit()
    assert "There is no course.toml" in teacher.push(code=1)
    until(lambda: not kept(publishing), "nothing is left")
    teacher.clone(code=128)


def test_a_push_that_is_refused_at_last_leaves_no_files_behind(
    publishing: Publishing, teacher: Person
) -> None:
    good(teacher)
    teacher.push()
    before = kept(publishing)
    teacher.put("course.toml", TOML + SCHEDULE).put("b.txt", "b").commit()
    said = teacher.remote(teacher.push(code=1))
    assert any(x.startswith("course.toml:7: refused: ") for x in said), said
    assert said[-1] == "Refused; nothing was changed."
    until(lambda: kept(publishing) == before, "nothing is left of it")
    teacher.put("course.toml", TOML).commit()
    teacher.push()
    assert "b.txt" in {x.path for x in publishing.release("torch", 2).files}


def test_what_was_normalised_is_told_in_the_pushers_language(teacher: Person) -> None:
    cell = {k: x for k, x in NOTEBOOK["cells"][0].items() if k != "id"}
    output = {"output_type": "stream", "name": "stdout", "text": "x"}
    book = {**NOTEBOOK, "cells": [{**cell, "outputs": [output]}]}
    teacher.put("course.toml", TOML).put("a.ipynb", json.dumps(book)).commit()
    said = teacher.remote(teacher.push(LANGUAGE="ko"))
    assert [x for x in said if x.startswith("a.ipynb: 참고: ")]
    assert not [x for x in said if re.search(r"[a-z]{4,} [a-z]{3,} [a-z]{3,}", x)], said


def test_scripts_in_a_notebooks_outputs_are_not_handed_out(
    publishing: Publishing, teacher: Person
) -> None:
    script = "<script>alert(1)</script>"
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": script}}
    code = {**NOTEBOOK["cells"][0], "outputs": [output]}
    text = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": script}
    teacher.put("course.toml", TOML)
    teacher.put("a.ipynb", json.dumps({**NOTEBOOK, "cells": [code, text]})).commit()
    teacher.push()
    made = json.loads(publishing.blob(publishing.release("torch", 1).files[0].sha256))
    assert made["cells"][0]["outputs"] == []
    assert made["cells"][1]["source"] == script  # shown by nothing that would run it


# ---- branches ------------------------------------------------------------------------------------


def test_another_branch_is_a_draft(publishing: Publishing, teacher: Person) -> None:
    good(teacher)
    assert "Push main first" in teacher.push("main:week2", code=1)
    teacher.push()
    teacher.put("b.ipynb", "{").commit()
    said = teacher.remote(teacher.push("main:week2"))
    assert "b.ipynb:1: refused: This is not a notebook: no JSON." in said
    assert said[-1] == "week2 is a draft: nothing is published."
    assert len(publishing.releases("torch")) == 1
    teacher.push(":week2")
    teacher("tag", "v1", "HEAD~1")
    teacher.push("v1")


def test_main_goes_forward_only(publishing: Publishing, teacher: Person) -> None:
    first = good(teacher)
    teacher.push()
    teacher.put("b.txt", "b")
    second = teacher.commit()
    teacher.push()
    assert "main only goes forward" in teacher.push("--force", f"{first}:main", code=1)
    assert "main cannot be deleted" in teacher.push(":main", code=1)
    assert publishing.repo("torch").tip() == second
    said = teacher.push(f"{first}:refs/notes/x", code=1)
    assert "Only branches and tags" in said


def test_what_somebody_else_has_pushed_is_not_lost(
    publishing: Publishing, service: Running, teacher: Person, tmp_path: Path
) -> None:
    good(teacher)
    teacher.push()
    other = Person(tmp_path / "other", service, "t-operator")
    other("pull", "-q", other.url(), "main")
    other.put("b.txt", "b").commit()
    other.push()
    teacher.put("c.txt", "c").commit()
    assert "rejected" in teacher.push(code=1)
    teacher("pull", "-q", "--rebase", teacher.url(), "main")
    teacher.push()
    assert {x.path for x in publishing.release("torch", 3).files} >= {"b.txt", "c.txt"}


# ---- who -----------------------------------------------------------------------------------------


def test_a_student_cannot_push(publishing: Publishing, teacher: Person, student: Person) -> None:
    good(teacher)
    teacher.push()
    good(student)
    said = student.push(code=128)
    assert "Only instructors of this course may push to it." in said
    said = student.push(course="mine", code=128)
    assert "There is no course 'mine' that you may see." in said
    assert [x.name for x in publishing.courses()] == ["torch"]


@pytest.mark.parametrize(("token", "says"), [
    ("t-cho", "There is no course 'torch' that you may see."),
    ("t-service", "There is no course 'torch' that you may see."),
    ("never-made", "Give a token as the password"), ("", "could not read Username"),
    ("t-stranger", "You have no access to Madang"),
])
def test_others_do_not_read(
    standing: Running, tmp_path: Path, token: str, says: str
) -> None:
    said = Person(tmp_path / "other", standing, token).clone(code=128)[1]
    assert says in said


def test_an_instructor_of_another_group_neither_reads_nor_takes_it(
    service: Running, publishing: Publishing, teacher: Person, tmp_path: Path
) -> None:
    good(teacher)
    teacher.push()
    service.hub.tokens["t-vera"] = {**service.hub.tokens["t-ana"], "name": "vera"}
    with service.client("t-operator") as http:
        people = "ana,ml,student\nteacher,ml,instructor\nvera,vision,instructor\n"
        http.put("api/roster", content="name,group,role\noperator,x,operator\n" + people)
    vera = Person(tmp_path / "vera", service, "t-vera")
    good(vera)
    assert "There is no course 'torch'" in vera.push("--force", "main", code=128)
    vera.put("course.toml", TOML).commit()
    assert "course.toml:2: refused: You are no instructor of the group ml." in vera.push(
        course="vision", code=1)
    vera.put("course.toml", TOML.replace("ml", "vision")).commit()
    vera.push(course="vision")
    assert publishing.course("vision").group == "vision"


def test_the_token_of_a_server_reads_as_a_member_and_writes_nothing(
    service: Running, teacher: Person, tmp_path: Path
) -> None:
    good(teacher)
    teacher.push()
    server = Person(tmp_path / "server", service, "t-teacher-server")
    folder, _ = server.clone()
    assert not (folder / "course.toml").exists()
    good(server)
    assert "The token of a server carries no instructor's rights." in server.push(code=128)


def test_a_bearer_token_does_too_and_a_cookie_does_not(standing: Running, tmp_path: Path) -> None:
    url = f"{standing.url}{PREFIX}git/torch.git"
    for kind in ("Bearer", "token"):
        done = Work(tmp_path / "ana").run(
            "-c", f"http.extraHeader=Authorization: {kind} t-ana", "ls-remote", url)
        assert b"refs/heads/main" in done.stdout
    refs = f"{url}/info/refs?service=git-upload-pack"
    answer = httpx.get(refs, cookies={"service-madang": "t-ana"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    for given in ("Basic !!!", "Basic " + "A" * 3, "Digest x", "Basic", "Basic /w=="):
        assert httpx.get(refs, headers={"Authorization": given}).status_code == 401


# ---- what is asked otherwise ---------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "HEAD", "objects/info/packs", "info/refs", "info/refs?service=git-evil", "config",
    "git-upload-pack", "git-receive-pack", "../lock", "..%2flock", "info/../config", "",
    "info/refs/?service=git-upload-pack", "objects/00/" + "0" * 38,
])
def test_the_dumb_protocol_and_files_are_not_served(standing: Running, path: str) -> None:
    with standing.client("t-teacher") as http:
        answer = http.get(f"git/torch.git/{path}")
        assert answer.status_code in (404, 405), answer.text
        assert http.put(f"git/torch.git/{path}", content=b"x").status_code in (404, 405)


@pytest.mark.parametrize("name", [
    "..", "%2e%2e", "..%2f..%2fetc", "a%2f..%2fb", "A", "-x", "x" * 41, ".blobs", "x%00y", "x%0a",
    "a%20b", "%ED%95%9C",
])
def test_a_course_name_is_never_a_path(standing: Running, name: str) -> None:
    before = kept(standing.app.state.publishing)
    with standing.client("t-operator") as http:
        for said in ("git-upload-pack", "git-receive-pack"):
            answer = http.get(f"git/{name}.git/info/refs", params={"service": said})
            assert answer.status_code == 404
        assert http.post(f"git/{name}.git/git-receive-pack", content=b"0000").status_code == 404
    assert kept(standing.app.state.publishing) == before


def test_a_packed_request_is_unpacked_and_one_that_is_none_is_refused(standing: Running) -> None:
    asked = b"0014command=ls-refs\n00010009peel\n0000"
    headers = {
        "Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2",
    }
    with standing.client("t-ana", **headers) as http:
        plain = http.post("git/torch.git/git-upload-pack", content=asked)
        packed = http.post(
            "git/torch.git/git-upload-pack", content=gzip.compress(asked),
            headers={"Content-Encoding": "gzip"})
        assert plain.content == packed.content
        assert b"refs/heads/main" in plain.content
        wrong = http.post(
            "git/torch.git/git-upload-pack", content=asked, headers={"Content-Type": "text/html"})
        assert wrong.status_code == 415
        broken = http.post(
            "git/torch.git/git-upload-pack", content=b"zz", headers={"Content-Encoding": "gzip"})
        assert b"refs/heads" not in broken.content
