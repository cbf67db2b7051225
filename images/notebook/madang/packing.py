"""A notebook's folder as one file: packed where it is submitted, unpacked where it runs.

What is packed depends on the files alone, not on when and where: the same folder gives the same
bytes.
"""

import gzip
import io
import os
import posixpath
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from madang.files import sync
from madang.messages import t

LIMIT = 20  # MiB of the packed file, where nobody says otherwise
UNPACKED = 512  # MiB
FILES = 10_000
_DATA = PurePosixPath("/srv/courses")  # courses' read-only data: every container sees it there
_NEVER = frozenset({"__pycache__"})
_LEFT_OUT = _NEVER | {"runs", "checkpoints"}
_TOLD = 5


class Unpackable(Exception):
    """The folder cannot be packed, or the file not be unpacked; the text is for the person."""


@dataclass(frozen=True)
class Packed:
    """A folder as a tar.gz; `left_out` are paths in it, folders with a slash at their end."""

    data: bytes
    files: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    path: Path
    name: str
    size: int = 0
    target: str = ""  # of a link, relative to where it lies
    folder: bool = False


def pack(
    folder: Path, limit: int = LIMIT, *, without: str = "", course: bool = False
) -> Packed:
    """Pack a folder. `limit` in MiB, `without`: a file of it that goes another way.

    `course`: it is to be published, and is its author's alone: `runs` is a name like others.

    Left out are names that begin with a dot, folders named runs, checkpoints or __pycache__,
    sockets and other files that are none, links that lead elsewhere (but for those to courses'
    data), and what cannot be read.

    Raises:
        Unpackable: no folder; too many files, or too large.
    """
    if not folder.is_dir():
        raise Unpackable(t("there is no folder {path}", path=folder))
    left_out: list[str] = []
    entries: list[_Entry] = []
    size = 0
    for entry in _walk(folder, left_out, _NEVER if course else _LEFT_OUT):
        if entry.name == without:
            continue
        entries.append(entry)
        size += entry.size
        if len(entries) > FILES or size > UNPACKED << 20:
            # a home can hold millions of files: what was seen tells enough
            raise Unpackable(_too_large(folder, entries, course=course))
    entries = _without_broken_links(entries, left_out, shared=not course)
    data = _packed(entries, left_out, limit << 20)
    if data is None:
        raise Unpackable(_too_large(folder, entries, limit, course=course))
    files = sum(not x.folder for x in entries)
    return Packed(data, files, tuple(sorted(left_out)))


def check(archive: Path) -> None:
    """Look through a packed folder before anything is made of it.

    Raises:
        Unpackable: not one of ours, damaged, too large, or it would write elsewhere.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            size = 0
            for count, member in enumerate(tar, 1):
                size += member.size
                if count > FILES or size > UNPACKED << 20:
                    raise Unpackable(
                        f"it holds more than {FILES} files or {UNPACKED} MiB"
                    )
                _check(member)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as e:
        raise Unpackable(f"{archive.name} is damaged or none ({e})") from e


def unpack(archive: Path, folder: Path) -> None:
    """Unpack what `check` has found good into a folder that does not exist; whole or not at all.

    Raises:
        OSError: no space left, or not writable.
    """
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _unpack(archive, aside)
        sync(aside)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


# ---- packing ----------------------------------------------------------------------------------


def _walk(
    folder: Path, left_out: list[str], never: frozenset[str] = _LEFT_OUT
) -> Iterator[_Entry]:
    """Everything to pack, folders before what is in them; what is not goes to `left_out`."""
    root = folder.resolve()

    def unreadable(error: OSError) -> None:
        left_out.append(_shown(os.path.relpath(error.filename, folder)) + "/")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        here = Path(place)
        for name in sorted([*folders, *files]):
            path = here / name
            entry = _entry(path, path.relative_to(folder).as_posix(), root, never)
            if entry is not None:
                yield entry
            elif name != "__pycache__":
                slash = "/" if name in folders and not path.is_symlink() else ""
                left_out.append(_shown(path.relative_to(folder).as_posix()) + slash)
        folders[:] = sorted(
            x for x in folders
            if not x.startswith(".") and x not in never and not (here / x).is_symlink()
        )


def _entry(path: Path, name: str, root: Path, never: frozenset[str]) -> _Entry | None:
    """What to pack of a path; None for nothing."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if path.name.startswith("."):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None if path.name in never else _Entry(path, name, folder=True)
    if stat.S_ISLNK(found.st_mode):
        target = _shared(str(path.readlink())) or _target(path, root)
        return _Entry(path, name, target=target) if target else None
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
        return None
    return _Entry(path, name, found.st_size)


def _shared(target: str) -> str:
    """The link's target, where that is in the courses' data; else ""."""
    path = PurePosixPath(posixpath.normpath(target))
    return str(path) if path.is_relative_to(_DATA) and path != _DATA else ""


def _target(link: Path, root: Path) -> str:
    """Where a link leads, relative to it; "" where that is outside, or nowhere."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return ""
    inside = target.is_relative_to(root) and target != root
    return os.path.relpath(target, link.parent.resolve()) if inside else ""


def _without_broken_links(
    entries: list[_Entry], left_out: list[str], *, shared: bool
) -> list[_Entry]:
    """A link to what is left out would lead nowhere; one to `shared` data leads there."""
    names = {x.name for x in entries}
    kept = []
    for entry in entries:
        to = posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), entry.target))
        if entry.target and to not in names and not (shared and _shared(entry.target)):
            left_out.append(_shown(entry.name))
        else:
            kept.append(entry)
    return kept


def _packed(entries: list[_Entry], left_out: list[str], most: int) -> bytes | None:
    """The tar.gz; None where it becomes larger than `most` bytes."""
    out = io.BytesIO()
    # level 6: three times as fast as 9, and a hundredth larger
    with gzip.GzipFile("", "wb", 6, out, mtime=0) as zipped, tarfile.open(
        fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT
    ) as tar:
        for entry in sorted(entries, key=lambda x: x.name):
            _add(tar, entry, left_out)
            if out.tell() > most:
                return None
    return out.getvalue() if out.tell() <= most else None


def _add(tar: tarfile.TarFile, entry: _Entry, left_out: list[str]) -> None:
    info = tarfile.TarInfo(entry.name)  # of nobody, of 1970
    info.mode = 0o755
    if entry.folder:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif entry.target:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
        tar.addfile(info)
    else:
        try:
            # whole: one that is written to meanwhile must not end in the middle of the archive
            data = entry.path.read_bytes()
            info.mode = 0o755 if entry.path.stat().st_mode & stat.S_IXUSR else 0o644
        except OSError:
            left_out.append(_shown(entry.name))
            return
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _too_large(
    folder: Path, entries: list[_Entry], limit: int = 0, *, course: bool = False
) -> str:
    largest = sorted(entries, key=lambda x: x.size, reverse=True)[:_TOLD]
    some = ", ".join(f"{_shown(x.name)} ({_size(x.size)})" for x in largest if x.size)
    if course:
        return t(
            "the course {path} has more than {files} files, or {limit} MiB packed; the largest "
            "files: {some}. Push it with git, or leave them out",
            path=_shown(str(folder)), files=FILES, limit=limit or UNPACKED, some=some or "-",
        )
    if limit:
        return t(
            "the folder {path} is more than {limit} MiB, packed; the largest files: {some}. "
            "Move them elsewhere, or run in your home as it is: --no-snapshot",
            path=_shown(str(folder)), limit=limit, some=some,
        )
    return t(
        "the folder {path} has more than {files} files or {limit} MiB; the largest files: {some}. "
        "Move them elsewhere, or run in your home as it is: --no-snapshot",
        path=_shown(str(folder)), files=FILES, limit=UNPACKED, some=some or "-",
    )


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"


def _shown(name: str) -> str:
    """A name of any bytes as it can be printed."""
    return os.fsencode(name).decode(errors="replace")


# ---- unpacking --------------------------------------------------------------------------------


def _check(member: tarfile.TarInfo) -> None:
    """What tarfile's own filter would do; Debian's Python 3.11.2 has none yet."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise Unpackable(f"{_shown(member.name)} would lie outside of it")
    if member.issym():
        to = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
        if (posixpath.isabs(to) and not _shared(to)) or to.split("/")[0] == "..":
            raise Unpackable(f"the link {_shown(member.name)} leads outside of it")
    elif not member.isdir() and not (member.isreg() and name.parts):
        raise Unpackable(f"{_shown(member.name)} is neither a file nor a folder")


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    links = []
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = folder / member.name
            if member.issym():
                links.append(member)
            elif member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                _write(tar, member, path)
    # last, so that nothing is written through one
    for member in links:
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    try:
        with source, path.open("wb") as f:
            shutil.copyfileobj(source, f)
            os.fchmod(f.fileno(), 0o755 if member.mode & stat.S_IXUSR else 0o644)
    except OSError as e:
        e.filename = str(path)  # a full disk names no file
        raise
