"""Pushing in tests: persons with real git against the service, packs that no git makes."""

import hashlib
import json
import os
import struct
from pathlib import Path
from urllib.parse import quote

import httpx

from hub.publishing import Publishing
from tests.edge.pushing import Work
from tests.face.running import NOTEBOOK, PREFIX, Running

TOML = 'title = "Torch"\ngroup = "ml"\n'
BOOK = json.dumps(NOTEBOOK)
_ZERO = "0" * 40


class Person(Work):
    """Somebody with a working tree and a token."""

    def __init__(self, folder: Path, service: Running, token: str) -> None:
        super().__init__(folder)
        self.service = service
        self.token = token

    def url(self, course: str = "torch") -> str:
        given = f"//anybody:{quote(self.token)}@" if self.token else "//"
        return self.service.url.replace("//", given) + f"{PREFIX}git/{course}.git"

    def push(
        self, *what: str, course: str = "torch", code: int = 0, **environment: str
    ) -> str:
        """What the pusher reads."""
        done = self.run("push", self.url(course), *(what or ("main",)), **environment)
        said = done.stderr.decode()
        assert done.returncode == code, said
        return said

    def remote(self, said: str) -> list[str]:
        """What our side has said of it."""
        return [x[8:].rstrip() for x in said.splitlines() if x.startswith("remote: ")]

    def clone(self, course: str = "torch", code: int = 0) -> tuple[Path, str]:
        """(the clone, what was said)."""
        folder = self.folder.parent / f"clone-{os.urandom(4).hex()}"
        done = self.run("clone", "-q", self.url(course), str(folder))
        assert done.returncode == code, done.stderr.decode()
        return folder, done.stderr.decode()


def good(person: Person) -> str:
    person.write(course_toml=b"").put("course.toml", TOML).put("week1/a.ipynb", BOOK)
    (person.folder / "course_toml").unlink()
    return person.commit("the first week")


def kept(publishing: Publishing) -> set[str]:
    """Everything that lies there for courses, but our own hooks and locks."""
    found = set()
    for folder, _, names in os.walk(publishing.root):
        path = Path(folder).relative_to(publishing.root)
        if path.parts[:1] not in ((".hooks",), (".nothing.git",)):
            found |= {str(path / x) for x in names if x != "lock"}
    return found


def pack_of(*objects: bytes) -> bytes:
    whole = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    return whole + hashlib.sha1(whole).digest()  # noqa: S324 - the format's own


def packed(kind: int, size: int, body: bytes, base: bytes = b"") -> bytes:
    """An object of a pack: 1 commit, 2 tree, 3 blob, 7 the changes of a `base`."""
    head, rest = [kind << 4 | size & 15], size >> 4
    while rest:
        head[-1] |= 0x80
        head.append(rest & 0x7F)
        rest >>= 7
    return bytes(head) + base + body


def number(size: int) -> bytes:
    made = bytearray()
    while size > 0x7F:
        made.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*made, size])


def receive(service: Running, pack: bytes, commit: str, course: str = "torch") -> httpx.Response:
    """A push without git: the pack as it is."""
    line = f"{_ZERO} {commit} refs/heads/main\0 report-status side-band-64k".encode()
    body = f"{len(line) + 4:04x}".encode() + line + b"0000" + pack
    with service.client("t-teacher") as http:
        return http.post(
            f"git/{course}.git/git-receive-pack", content=body, timeout=120,
            headers={"Content-Type": "application/x-git-receive-pack-request"})


def object_of(kind: str, content: bytes) -> str:
    head = f"{kind} {len(content)}\0".encode()
    return hashlib.sha1(head + content).hexdigest()  # noqa: S324 - git's own
