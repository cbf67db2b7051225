"""What is pushed to hurt: trees that no honest git makes, and sizes."""

import hashlib
import os
import resource
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.publishing import Publishing
from tests.face.pushes import (
    TOML,
    Person,
    good,
    kept,
    number,
    object_of,
    pack_of,
    packed,
    receive,
)
from tests.face.running import PREFIX, Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, course_mib=60, course_file_mib=5, course_files=200) as made:
        yield made


# ---- trees that no honest git makes --------------------------------------------------------------


@pytest.mark.parametrize(("name", "says"), [
    ("..", "hasDotdot"), (".", "hasDot"), (".git", "hasDotgit"), (".GIT", "hasDotgit"),
    ("a/../../x", "fullPathname"),
])
def test_a_tree_that_leads_out_is_refused_by_git_itself(
    publishing: Publishing, teacher: Person, name: str, says: str
) -> None:
    toml, inner = teacher.blob(TOML.encode()), teacher.tree(
        ("100644", teacher.blob(b"x"), "passwd"))
    kind = ("100644", teacher.blob(b"x"), name) if "/" in name else ("040000", inner, name)
    teacher.commit_tree(teacher.tree(("100644", toml, "course.toml"), kind))
    assert says in teacher.push(code=1)
    until(lambda: not kept(publishing), "nothing is left")


@pytest.mark.parametrize(("mode", "name", "says"), [
    ("120000", "link", "link: refused: This is a link."),
    ("160000", "sub", "sub: refused: This is a submodule."),
    ("100644", "a\x1b[2Jb", "a\\x1b[2Jb: refused: The name has"),
    ("100644", "Course.TOML", "are the same on some computers"),
    ("100644", "a\udcffb", "a\\xffb: refused: The name is not UTF-8."),
])
def test_a_tree_of_odd_things_is_refused_by_us(
    publishing: Publishing, teacher: Person, mode: str, name: str, says: str
) -> None:
    blob = teacher.blob(b"../../../etc/passwd")
    id = "1" * 40 if mode == "160000" else blob
    toml = teacher.blob(TOML.encode())
    teacher.commit_tree(teacher.tree(("100644", toml, "course.toml"), (mode, id, name)))
    said = teacher.push(code=1)
    assert says in said
    assert "\x1b" not in said
    until(lambda: not kept(publishing), "nothing is left")


def test_a_tree_with_a_billion_files_is_refused_at_once(
    publishing: Publishing, teacher: Person
) -> None:
    tree = teacher.tree(*(("100644", teacher.blob(b"x"), f"f{i}") for i in range(10)))
    for _ in range(9):
        tree = teacher.tree(*(("040000", tree, f"d{i}") for i in range(10)))
    toml = ("100644", teacher.blob(TOML.encode()), "course.toml")
    teacher.commit_tree(teacher.tree(toml, ("040000", tree, "d")))
    assert "There are more than 200 files" in teacher.push(code=1)
    until(lambda: not kept(publishing), "nothing is left")


# ---- size ----------------------------------------------------------------------------------------


def memory() -> int:
    """The most that any process which we have started and which has ended has had, MiB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10


def own_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def test_a_gigabyte_of_nothing_is_refused_without_being_held(
    service: Running, publishing: Publishing
) -> None:
    size, piece = 1 << 30, b"\0" * (1 << 20)
    squeeze, name = zlib.compressobj(9), hashlib.sha1(f"blob {size}\0".encode())  # noqa: S324
    body = b""
    for _ in range(size // len(piece)):
        body += squeeze.compress(piece)
        name.update(piece)
    body += squeeze.flush()
    assert len(body) < 2 << 20
    toml = TOML.encode()
    tree = b"100644 big\0" + name.digest() + b"100644 course.toml\0" + bytes.fromhex(
        object_of("blob", toml))
    commit = (f"tree {object_of('tree', tree)}\nauthor t <t@x> 1 +0000\ncommitter t <t@x> 1 +0000"
              "\n\nbig\n").encode()
    small = [(3, toml), (2, tree), (1, commit)]
    pack = pack_of(packed(3, size, body), *(packed(k, len(x), zlib.compress(x)) for k, x in small))
    before = own_memory()
    answer = receive(service, pack, object_of("commit", commit))
    assert b"big: refused: The file has 1024.0 MiB, 5 is the most." in answer.content
    assert own_memory() - before < 100
    until(lambda: not kept(publishing), "nothing is left")
    assert memory() < 900  # of anything that ran: the tests' own git, or ours


def test_a_change_that_makes_gigabytes_of_a_kilobyte_ends_git_and_nothing_else(
    service: Running, publishing: Publishing, teacher: Person
) -> None:
    base, times = b"\0" * 0xFFFF, 70_000
    # copy 65,535 bytes from the beginning, again and again
    change = number(len(base)) + number(len(base) * times) + b"\xb0\xff\xff" * times
    pack = pack_of(
        packed(3, len(base), zlib.compress(base)),
        packed(7, len(change), zlib.compress(change), bytes.fromhex(object_of("blob", base))),
    )
    answer = receive(service, pack, "1" * 40)
    assert b"unpack ok" not in answer.content
    until(lambda: not kept(publishing), "nothing is left")
    good(teacher)
    teacher.push()


def test_more_than_may_be_pushed_at_once_is_not_taken(
    publishing: Publishing, teacher: Person
) -> None:
    good(teacher)
    for i in range(16):
        teacher.put(f"r{i}", os.urandom(4 << 20))
    teacher.commit()
    assert "pack exceeds maximum allowed size (60.00 MiB)" in teacher.push(code=1)
    until(lambda: not kept(publishing), "nothing is left")


def test_what_is_far_too_much_is_refused_before_it_is_read(
    service: Running, publishing: Publishing
) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as opened:
        opened.sendall((
            f"POST {PREFIX}git/torch.git/git-receive-pack HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer t-teacher\r\nContent-Length: {1 << 40}\r\n\r\n"
        ).encode())
        assert opened.recv(100).startswith(b"HTTP/1.1 413 ")
    until(lambda: not kept(publishing), "nothing is left")


def test_a_large_course_comes_back_as_it_went(
    publishing: Publishing, teacher: Person, student: Person
) -> None:
    good(teacher)
    parts = [os.urandom(4 << 20) for _ in range(6)]
    for i, part in enumerate(parts):
        teacher.put(f"r{i}", part)
    teacher.commit()
    teacher.push()
    folder, _ = student.clone()
    assert [(folder / f"r{i}").read_bytes() for i in range(6)] == parts
