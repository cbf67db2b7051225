"""What stands under a name in a student's folder. `hub.edge.folders` gives it out."""

import os
import stat
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath

from hub.errors import BadInput

DEEPEST = 32
READABLE = ("shared", "locked")  # plain files of the student's that may not be replaced


@dataclass(frozen=True)
class Seen:
    """What stands under a name. `kind`: absent, file, folder, link, odd.

    `problem` says why it is odd: "shared" (it has a second name), "special" (no file), "huge",
    "locked", "foreign" (not the student's), "way" (there is no way to it: a link or a file stands
    where a folder should). A file that was read all the same has one too, and is not replaced.
    `target` is a link's; `sha256` and `content` are a file's that was read.
    """

    kind: str
    problem: str = ""
    sha256: str = ""
    size: int = 0
    mode: int = 0
    mtime_ns: int = 0
    target: str = ""
    same: tuple[int, ...] = ()
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Entry:
    """Something that `walk` came by; `kind` and `problem` as in Seen."""

    path: str
    kind: str
    size: int = 0
    mode: int = 0
    problem: str = ""


ABSENT = Seen("absent")


def same_of(found: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written or replaced, and not when it is renamed."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def seen_of(found: os.stat_result, owner: os.stat_result) -> Seen:
    """The same without content; `owner` is the home's."""
    same, mode = same_of(found), stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode):
        return Seen("folder", same=same)
    problem = (
        "special" if not stat.S_ISREG(found.st_mode)
        else "foreign" if found.st_uid != owner.st_uid
        else "shared" if found.st_nlink > 1
        else "" if mode & stat.S_IWUSR else "locked"
    )
    kind = "odd" if problem else "file"
    return Seen(kind, problem, size=found.st_size, mode=mode & 0o777, same=same,
                mtime_ns=found.st_mtime_ns)


def filled(fd: int, seen: Seen, most: int, *, keep: bool) -> Seen:
    """With the SHA-256 and, with `keep`, the content of the open file."""
    if seen.size > most:
        return Seen("odd", "huge", size=seen.size, same=seen.same)
    digest, kept, size = sha256(), [], 0
    while part := os.read(fd, 1 << 20):
        size += len(part)
        if size > most:  # it grows while we read
            return Seen("odd", "huge", size=size, same=seen.same)
        digest.update(part)
        if keep:
            kept.append(part)
    return replace(seen, kind="file", sha256=digest.hexdigest(), size=size, content=b"".join(kept))


def parts_of(path: str) -> list[str]:
    """The steps of a relative path.

    Raises:
        BadInput: it leads out of its folder, or no file can be called so.
    """
    parts = path.split("/")
    if any(x in ("", ".", "..") or "\0" in x for x in parts) or len(parts) > DEEPEST:
        raise BadInput("This is no path inside a folder: {path}", reason="path", path=path[:200])
    return parts


def beside(path: str, mark: str) -> str:
    """`week1/a.ipynb` with the mark "new": `week1/a.new.ipynb`."""
    found = PurePosixPath(path)
    return str(found.with_name(f"{found.stem}.{mark}{found.suffix}"))
