"""One request of git: how it is ended, and what it leaves behind."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hub.edge.repo import Backend, GitError, Repo
from tests.edge.pushing import Work

PUSH, REFS = "git-receive-pack", "info/refs"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "a" / "repo.git")
    made.make()
    return made


def asked(repo: Repo, tmp_path: Path, path: str, do: Callable[[Backend], Awaitable[Any]]) -> Any:
    """One request; `end` is not called."""
    request = {
        "REQUEST_METHOD": "GET" if path == REFS else "POST", "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": f"service={PUSH}" if path == REFS else "",
        "CONTENT_TYPE": f"application/x-{PUSH}-request", "REMOTE_USER": "t", "REMOTE_ADDR": "x",
    }
    hooks = tmp_path / "hooks"
    hooks.mkdir(exist_ok=True)

    async def run() -> Any:
        return await do(await Backend.start(repo.path, path, request=request, hooks=hooks, mib=50))

    return asyncio.run(run())


def a_push(tmp_path: Path) -> bytes:
    """All that is sent for a first commit."""
    work = Work(tmp_path / "work")
    commit = work.put("a", "a").commit()
    listed = work("rev-list", "--objects", commit)
    names = "\n".join(x.split(" ")[0] for x in listed.splitlines())
    pack = work.run("pack-objects", "--stdout", given=names.encode()).stdout
    line = f"{'0' * 40} {commit} refs/heads/main\0 report-status".encode()
    return f"{len(line) + 4:04x}".encode() + line + b"0000" + pack


def hook(tmp_path: Path, name: str, script: str) -> None:
    path = tmp_path / "hooks" / name
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)


async def until(what: Callable[[], Any]) -> None:
    late = time.monotonic() + 30
    while not what():
        assert time.monotonic() < late
        await asyncio.sleep(0.02)


def test_a_push_that_is_broken_off_leaves_no_lock(repo: Repo, tmp_path: Path) -> None:
    hook(tmp_path, "reference-transaction", "while :; do sleep 1; done")
    lock = repo.path / "refs/heads/main.lock"

    async def broken_off(backend: Backend) -> None:
        await backend.write(a_push(tmp_path))
        await until(lock.exists)
        await backend.end()

    asked(repo, tmp_path, PUSH, broken_off)
    assert not lock.exists()


def test_what_ends_for_no_word_is_killed(repo: Repo, tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    hook(tmp_path, "pre-receive",
         f"trap '' TERM\necho $$ > {pids}\nwhile :; do sleep 1; done")

    async def held(backend: Backend) -> None:
        await backend.write(a_push(tmp_path))
        await until(lambda: pids.exists() and pids.read_text().strip())
        assert not gone(int(pids.read_text()))
        await backend.end()
        await until(lambda: gone(int(pids.read_text())))

    asked(repo, tmp_path, PUSH, held)


def known(pid: int) -> bool:
    """Whether the number is somebody's."""
    return Path(f"/proc/{pid}").exists()


def gone(pid: int) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_its_number_is_nobody_elses_until_it_is_ended_and_is_left_alone_afterwards(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled: list[int] = []
    real = os.killpg

    def killpg(group: int, number: int) -> None:
        signalled.append(group)
        real(group, number)

    async def whole(backend: Backend) -> None:
        status, headers = await backend.head()
        said = b"".join([x async for x in backend.body()])
        assert status == 200
        assert ("Content-Type", f"application/x-{PUSH}-advertisement") in headers
        assert said.endswith(b"0000")
        pid = backend._process.pid
        await until(lambda: gone(pid))
        assert known(pid)
        monkeypatch.setattr(os, "killpg", killpg)
        await backend.end()
        assert set(signalled) == {pid}
        assert not known(pid)
        signalled.clear()
        await backend.end()
        assert signalled == []

    asked(repo, tmp_path, REFS, whole)


def test_a_git_without_an_answer_says_why(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")

    async def head(backend: Backend) -> None:
        try:
            await backend.head()
        finally:
            await backend.end()

    for answer in ("echo 'out of memory' >&2", "echo Status: none; echo out of memory >&2",
                   "head -c 200000 /dev/zero; echo out of memory >&2"):
        script.write_text(f"#!/bin/sh\n{answer}\n")
        script.chmod(0o700)
        with pytest.raises(GitError, match="out of memory"):
            asked(repo, tmp_path, REFS, head)


def test_what_a_killed_git_has_left_goes_when_it_is_old(repo: Repo) -> None:
    objects = repo.path / "objects"
    (objects / "pack").mkdir(exist_ok=True)
    for name in ("tmp_objdir-incoming-a", "tmp_objdir-incoming-b"):
        (objects / name / "pack").mkdir(parents=True)
        (objects / name / "pack" / "tmp_pack_x").write_bytes(b"x")
    for name in ("tmp_pack_a", "tmp_pack_b", "pack-a.pack"):
        (objects / "pack" / name).write_bytes(b"x")
    for name in ("main", "other"):
        (repo.path / "refs/heads" / f"{name}.lock").write_bytes(b"")
    old = time.time() - 7200
    for name in (
        "tmp_objdir-incoming-a", "pack/tmp_pack_a", "pack/pack-a.pack", "../refs/heads/main.lock",
    ):
        os.utime(objects / name, (old, old))
    repo.sweep(time.time() - 3600)
    assert {x.name for x in objects.glob("tmp_*")} == {"tmp_objdir-incoming-b"}
    assert {x.name for x in objects.glob("pack/*")} == {"tmp_pack_b", "pack-a.pack"}
    assert {x.name for x in repo.path.rglob("*.lock")} == {"other.lock"}
    repo.forget_unfinished()
    assert not list(objects.glob("tmp_*"))
