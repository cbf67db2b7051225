"""A course's folder that somebody sent packed, or has in their home: bounded, and only in memory.

It stays one file: nothing is ever written under a name that the sender chose.
"""

import gzip
import io
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.core.coursetree import REGULAR, Entry, Limits, shown
from hub.edge.folders import Folder, Odd, opened, parts_of
from hub.errors import BadInput, NotFound, Refusal

_GZIP = 16 + zlib.MAX_WBITS
_STEP, _PIECE = 1 << 20, 1 << 16
_MOST = 200 << 20  # bytes in memory, whatever a release may have: more than that goes with git
_HEADERS = 4096  # bytes of tar's own for each file, more than most need
_LOOKED_AT = 50_000  # entries of a folder in a home
_FILE, _EXECUTABLE, _LINK, _ODD = "100644", "100755", "120000", "000000"


@dataclass(frozen=True)
class _Place:
    mode: str
    size: int
    begin: int = 0


class Sent:
    """The files of a tar.gz, unpacked in memory: a `Tree`."""

    def __init__(self, packed: bytes, limits: Limits) -> None:
        """Look through it.

        Raises:
            BadInput: reason "snapshot": it is none, or is damaged.
            Refusal: 413: it holds more than may be sent so.
        """
        self._limits = limits
        most = min(_MOST, limits.total)
        self._plain = _inflated(packed, most + limits.files * _HEADERS)
        self._places: dict[str, _Place] = {}
        try:
            with tarfile.open(fileobj=self._plain, mode="r:") as tar:
                self._look(tar, most)
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as e:
            raise _damaged(e) from e

    def entries(self) -> Iterable[Entry]:
        """What is in it, by path."""
        return [Entry(k, x.mode, x.size) for k, x in sorted(self._places.items())]

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        place = self._places[path]
        return bytes(self._plain.getbuffer()[place.begin:place.begin + place.size])

    def _look(self, tar: tarfile.TarFile, most: int) -> None:
        size, end = 0, self._plain.getbuffer().nbytes
        for member in tar:
            path = member.name.removeprefix("./")
            if member.isdir():
                continue
            # a sparse file says any size for nothing
            plain = member.isreg() and not member.issparse()
            held = member.size if plain else 0
            size += held
            if len(self._places) >= self._limits.files or size > most:
                raise _too_large(most, self._limits.files)
            if path in self._places or member.offset_data + held > end:
                raise _damaged(f"{path!r} is in it twice, or ends in the middle")
            self._places[path] = _Place(_mode(member, plain=plain), held, member.offset_data)


def _mode(member: tarfile.TarInfo, *, plain: bool) -> str:
    if member.issym() or member.islnk():
        return _LINK
    if not plain:
        return _ODD
    return _EXECUTABLE if member.mode & stat.S_IXUSR else _FILE


def _inflated(packed: bytes, most: int) -> io.BytesIO:
    """What is in the gzip; it stops at the first step over the limit."""
    machine, out = zlib.decompressobj(_GZIP), io.BytesIO()
    view = memoryview(packed)
    try:
        # in pieces: what is left after a step is copied each time
        for i in range(0, len(view), _PIECE):
            data: bytes | memoryview = view[i:i + _PIECE]
            while data and not machine.eof:
                out.write(machine.decompress(data, _STEP))
                if out.tell() > most:
                    raise _too_large(most)
                data = machine.unconsumed_tail
            if machine.eof:
                break
    except zlib.error as e:
        raise _damaged(e) from e
    if not machine.eof:
        raise _damaged("it ends in the middle")
    out.seek(0)
    return out


def _damaged(why: object) -> BadInput:
    return BadInput(
        "What was sent is no tar.gz, or is damaged.", reason="snapshot", detail=str(why)[:500]
    )


def _too_large(most: int, files: int = 5000) -> Refusal:
    return Refusal(
        "The folder has more than {files} files or {most} MiB, unpacked. Push it with git.",
        reason="too-large", status=413, files=files, most=most >> 20,
    )


# ---- packing ------------------------------------------------------------------------------------


def packed(files: Iterable[tuple[Entry, bytes]]) -> bytes:
    """These files as a tar.gz; what is none is in it by its name alone."""
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, out, mtime=0) as zipped, tarfile.open(
        fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT
    ) as tar:
        for entry, data in files:
            info = tarfile.TarInfo(entry.path)
            info.mode = 0o755 if entry.mode == _EXECUTABLE else 0o644
            if entry.mode in REGULAR:
                info.size = len(data)
            else:
                info.type = tarfile.SYMTYPE if entry.mode == _LINK else tarfile.FIFOTYPE
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def of_home(home: Path, path: str, limits: Limits) -> bytes:
    """A folder of a home as a tar.gz. Links are not followed, and what a dot hides stays hidden.

    Raises:
        NotFound: there is no such folder, or a link stands in the way.
        BadInput: it is no path inside a home, or there are too many files in it.
        Refusal: 413: too large.
    """
    where = path.strip("/")
    if not where:
        raise BadInput("Name a folder of your home, not your home itself.", reason="path")
    parts_of(where)  # also where there is no home yet
    try:
        with opened(home, where) as folder:
            return packed(_read(folder, limits))
    except (FileNotFoundError, NotADirectoryError, Odd) as e:
        raise NotFound("There is no folder {path} in your home.", path=shown(where)) from e


def _read(folder: Folder, limits: Limits) -> Iterator[tuple[Entry, bytes]]:
    most, size, count = min(_MOST, limits.total), 0, 0
    for found in folder.walk(_LOOKED_AT):
        if found.kind == "folder" or any(_hidden(x) for x in found.path.split("/")):
            continue
        count += 1
        if found.size > limits.file:
            raise Refusal(
                "{path} has more than {most} MiB.", reason="too-large", status=413,
                path=shown(found.path), most=limits.file >> 20,
            )
        seen = folder.read(found.path, limits.file)
        size += len(seen.content)
        if count > limits.files or size > most:
            raise _too_large(most, limits.files)
        mode = _LINK if seen.kind == "link" else _ODD if seen.kind != "file" else (
            _EXECUTABLE if seen.mode & stat.S_IXUSR else _FILE
        )
        yield Entry(found.path, mode, seen.size), seen.content


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"
