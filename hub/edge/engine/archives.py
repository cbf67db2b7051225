"""Reading from a container: its log, and single files, never more than asked for."""

import io
import tarfile
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound

from hub.edge.engine.answers import frames

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)  # the latter: its removal is under way
# what Go's file modes say of all that is no plain file: folder, link, device, pipe, socket
_STRANGE = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
# what Docker says, with 500, of a path on which a student has put a file or links in a ring
_NO_WAY = (
    "not a directory", "too many levels of symbolic links", "too many links",
    "file name too long",
)
_AROUND = 16 << 10  # bytes of a tar around one file


def log_of(api: APIClient, id: str, options: Mapping[str, Any]) -> bytes:
    """One log, whole. docker-py's own reader switches time-outs off, and this must not hang."""
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/containers/{id}/logs",
        params={"stdout": 1, "stderr": 1, **options}, timeout=api.timeout,
    )
    if answer.status_code in _GONE:
        return b""
    if not answer.ok:
        raise DockerException(answer.text)
    return b"".join(frames(answer.content))


def file_of(api: APIClient, id: str, path: str, limit: int) -> bytes | None:
    """A plain file of at most `limit` bytes; None where there is none such.

    Docker finds the path inside the container, so a link leads nowhere on the host.
    """
    try:
        chunks, seen = api.get_archive(id, path)
    except NotFound:
        return None
    except APIError as e:
        if any(x in str(e.explanation) for x in _NO_WAY):
            return None
        raise
    if seen["mode"] & _STRANGE or seen["size"] > limit:
        chunks.close()
        return None
    return _only(_at_most(chunks, limit + _AROUND), limit)


def _at_most(chunks: Iterable[bytes], most: int) -> bytes:
    """It may have grown since it was looked at."""
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > most:
            return b""
    return bytes(found)


def _only(tar: bytes, limit: int) -> bytes | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            entry = opened.next()
            if entry is None or not entry.isreg() or entry.size > limit:
                return None
            file = opened.extractfile(entry)
            return file.read() if file else None
    except tarfile.TarError:
        return None
