"""Repositories by git itself: what others have made is read within limits, and nothing runs."""

import os
import resource
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.core.coursetree import Limits
from hub.edge.repo import MAIN, GitError, Put, Repo
from hub.errors import Unavailable
from tests.edge.pushing import Work

AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "courses" / "torch" / "repo.git")
    made.make()
    return made


@pytest.fixture
def work(tmp_path: Path, repo: Repo) -> Work:
    made = Work(tmp_path / "work")
    made("remote", "add", "origin", str(repo.path))
    return made


def pushed(work: Work) -> str:
    work("push", "-q", "origin", "main:main")
    return work("rev-parse", "main")


def test_it_is_made_once_and_has_nothing_of_the_machines(repo: Repo) -> None:
    repo.make()
    assert repo.there
    assert repo.tip() == ""
    assert not (repo.path / "hooks").exists()
    assert [x.name for x in repo.path.parent.iterdir()] == ["repo.git"]


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "prlimit").symlink_to(shutil.which("prlimit") or "")
    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(Unavailable):
        Repo(tmp_path / "x" / "repo.git").make()
    assert not list((tmp_path / "x").iterdir())


def test_the_files_of_a_commit(repo: Repo, work: Work) -> None:
    work.put("a.txt", b"one\0two\n").put("deep/\ud55c\uae00 b.txt", b"").put("x.sh", "#!/bin/sh\n")
    (work.folder / "x.sh").chmod(0o755)
    (work.folder / "link").symlink_to("/etc/passwd")
    work.commit("hello\n\nworld")
    commit = pushed(work)
    tree = repo.tree(commit, Limits())
    found = {x.path: (x.mode, x.size) for x in tree.entries()}
    assert found == {
        "a.txt": ("100644", 8), "deep/\ud55c\uae00 b.txt": ("100644", 0),
        "x.sh": ("100755", 10), "link": ("120000", 11),
    }
    assert tree.read("a.txt") == b"one\0two\n"
    assert tree.read("deep/\ud55c\uae00 b.txt") == b""
    assert tree.read("a.txt") == b"one\0two\n"
    tree.close()
    assert repo.message(commit) == "hello\n\nworld"
    assert repo.refs() == [MAIN]


def test_names_that_no_honest_git_makes_are_seen_as_they_are(repo: Repo, work: Work) -> None:
    blob = work.blob(b"x")
    inner = work.tree(("100644", blob, "passwd"))
    names = ("..", ".git", "a\nb", "a\tb", "\udcff\udcfe", 'quo"te')
    commit = work.commit_tree(work.tree(*(("040000", inner, x) for x in names)))
    pushed(work)
    assert {x.path for x in repo.tree(commit, Limits()).entries()} == {
        f"{x}/passwd" for x in names
    }


def test_a_tree_that_names_itself_a_billion_times_is_listed_to_the_limit(
    repo: Repo, work: Work
) -> None:
    tree = work.tree(*(("100644", work.blob(b"x"), f"f{i}") for i in range(10)))
    for _ in range(9):
        tree = work.tree(*(("040000", tree, f"d{i}") for i in range(10)))
    commit = work.commit_tree(tree)
    pushed(work)
    assert len(repo.tree(commit, Limits(files=50)).entries()) == 51


def test_a_file_over_the_limit_is_measured_and_not_read(repo: Repo, work: Work) -> None:
    work.put("zeros", b"\0" * (100 << 20)).commit()
    commit = pushed(work)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tree = repo.tree(commit, Limits())
    (entry,) = tree.entries()
    assert entry.size == 100 << 20
    with pytest.raises(GitError, match="bytes"):
        tree.read("zeros")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


def test_what_is_no_commit_has_no_files(repo: Repo) -> None:
    with pytest.raises(GitError):
        repo.tree("0" * 40, Limits()).entries()
    assert repo.tip("refs/heads/none") == ""


def test_a_commit_is_made_without_a_working_tree(repo: Repo, work: Work) -> None:
    files = [Put("a b.txt", b"one\n"), Put('q"\\.txt', b""), Put("x/y.sh", b"#!", executable=True)]
    first = repo.commit(MAIN, files, message="one\n\ntwo", who="Ana <b>", at=AT)
    second = repo.commit(MAIN, files[:1], message="", who="", at=AT, parent=first)
    assert repo.tip() == second
    assert repo.keeps(second, first)
    assert not repo.keeps(first, second)
    work("fetch", "-q", "origin")
    assert work("log", "--format=%an %ae %ad", "--date=iso", first) == (
        "Ana b Ana.b@madang 2026-11-23 00:00:00 +0000")
    names = work("ls-tree", "-rz", "--name-only", first).split("\0")
    assert set(names) == {"a b.txt", 'q"\\.txt', "x/y.sh", ""}
    assert work("ls-tree", "-r", "--name-only", second) == "a b.txt"


def test_a_commit_that_would_lose_another_one_is_refused(repo: Repo) -> None:
    first = repo.commit(MAIN, [Put("a", b"1")], message="1", who="x", at=AT)
    repo.commit(MAIN, [Put("a", b"2")], message="2", who="x", at=AT, parent=first)
    with pytest.raises(GitError):
        repo.commit(MAIN, [Put("a", b"3")], message="3", who="x", at=AT, parent=first)
    with pytest.raises(GitError):
        repo.move(MAIN, first, first)


def test_configuration_of_the_machine_and_hooks_of_the_repository_do_not_count(
    repo: Repo, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f'[core]\n\tfsmonitor = "touch {marker}"\n')
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_EXEC_PATH", "/nonexistent")
    hooks = repo.path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-update", "pre-receive"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    repo.commit(MAIN, [Put("a", b"1")], message="1", who="x", at=AT)
    repo.drop(MAIN)
    assert not marker.exists()
    assert os.environ["GIT_DIR"] == "/nonexistent"
