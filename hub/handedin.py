"""What was handed in as one archive, packed while it is sent: a whole class fits nowhere."""

import gzip
import logging
import tarfile
from collections.abc import Callable, Generator, Iterator, Mapping
from io import BytesIO
from pathlib import Path

from hub.core import handingin
from hub.core.courses import Collection, Submission
from hub.core.coursetree import Limits
from hub.errors import Refusal
from hub.unpacking import Sent

log = logging.getLogger("madang.courses")
_PIECE = 1 << 18  # bytes that are packed at a time


def pieces_of(
    found: Collection, taken: Mapping[str, Submission], place: Callable[[str], Path],
    limits: Limits,
) -> Generator[bytes, None, None]:
    """All of it, `<student>/<name>/…`: pieces of a tar.gz, each made when it is asked for.

    Args:
        taken: by student.
        place: where a student's tar.gz is kept.

    Raises:
        RuntimeError: in the middle, at what cannot be read. The pieces until then are no whole
            gzip, so that nobody takes them for all of it.
    """
    out = BytesIO()
    # not by a TarFile: that packs a whole file before it gives anything away
    with gzip.GzipFile("", "wb", 1, out, mtime=0) as zipped:
        yield _emptied(out)  # gzip's own header: a front waits for a first byte only so long
        for user in sorted(taken):
            try:
                sent = _read(taken[user], place(user), limits)
            except (OSError, Refusal) as e:
                log.warning(
                    "course %s: the archive of %r breaks off, for what was taken of %r cannot be "
                    "read: %s", found.course, found.name, user, e,
                )
                raise RuntimeError("the archive breaks off") from e
            for info, content in _files(found, user, sent) if sent else ():
                zipped.write(info.tobuf(tarfile.PAX_FORMAT))
                for i in range(0, len(content), _PIECE):
                    zipped.write(content[i:i + _PIECE])
                    if piece := _emptied(out):
                        yield piece
                zipped.write(bytes(-len(content) % tarfile.BLOCKSIZE))
        zipped.write(bytes(2 * tarfile.BLOCKSIZE))
        zipped.write(bytes(-zipped.tell() % tarfile.RECORDSIZE))
    yield _emptied(out)


def _read(taken: Submission, place: Path, limits: Limits) -> Sent | None:
    """None: nothing was there to be taken."""
    try:
        return Sent(place.read_bytes(), limits)
    except FileNotFoundError:
        if taken.files:
            raise
        return None


def _files(
    found: Collection, user: str, sent: Sent
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    folder = f"{handingin.folder_name(user)}/{found.name}"
    for entry in sent.entries():
        if entry.mode.startswith("100"):
            info = tarfile.TarInfo(f"{folder}/{entry.path}")
            info.size, info.mtime = entry.size, int(found.due.timestamp())
            yield info, sent.read(entry.path)


def _emptied(out: BytesIO) -> bytes:
    made = out.getvalue()
    out.seek(0)
    out.truncate()
    return made
