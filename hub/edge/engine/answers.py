"""Docker's answers as our facts, and a run's files as Docker wants them."""

import io
import re
import struct
import tarfile
import time
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any

from docker.errors import APIError

from hub.edge.engine.data import KIND, LEASE, SLICE, USER, Container
from hub.errors import Unavailable

HOOK = "nvidia-container-runtime-hook"
LIVE = frozenset({"running", "paused", "restarting"})
ENDED = frozenset({"exited", "dead"})
FILES = PurePosixPath("/run/madang")  # the one folder that a run's files are put into
UID = 1000  # the student in every image, and the owner of every home
_HOOK_SAID = re.compile(r"error running hook.*?stderr: (.*)", re.DOTALL)


def frames(data: bytes) -> list[bytes]:
    """The payloads of Docker's multiplexed stream: each after stream, 0, 0, 0, length (4 bytes)."""
    found, at = [], 0
    while at + 8 <= len(data):
        length = struct.unpack_from(">I", data, at + 4)[0]
        found.append(data[at + 8:at + 8 + length])
        at += 8 + length
    return found


def container(row: Mapping[str, Any], seen: Mapping[str, Any] | None) -> Container:
    """A row of Docker's list, and what inspecting it gave (None: it was not looked at)."""
    labels = row["Labels"]
    state = seen["State"] if seen else {}
    ended = state.get("Status") in ENDED
    return Container(
        id=row["Id"], name=(row["Names"] or [""])[0].lstrip("/"), lease=labels.get(LEASE, ""),
        kind=labels.get(KIND, ""), user=labels.get(USER, ""), image=row["Image"],
        running=(state.get("Status") or row["State"]) in LIVE,
        exit_code=state["ExitCode"] if ended else None, oom=bool(state.get("OOMKilled")),
        slice=labels.get(SLICE, ""),
        started_at=_moment(state.get("StartedAt", "")),
        finished_at=_moment(state.get("FinishedAt", "")) if ended else None,
    )


def _moment(text: str) -> datetime | None:
    # Docker's "never" is the year 1
    return None if not text or text.startswith("0001") else datetime.fromisoformat(text)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The files as a tar of /run/madang for `put_archive` at /; b"" without files."""
    if not files:
        return b""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        folder = tarfile.TarInfo(str(FILES).lstrip("/"))
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, UID, UID
        tar.addfile(folder)
        for path, content in files.items():
            if PurePosixPath(path).parent != FILES:
                raise ValueError(f"{path} is not in {FILES}")
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o600, UID, UID
            entry.mtime = int(time.time())
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def lease_lost() -> Unavailable:
    """The run's slice is not its own any more."""
    return Unavailable("The slice was taken back before the container ran.",
                       reason="lease-lost", status=HTTPStatus.CONFLICT)


def not_started(error: APIError) -> Unavailable:
    """Docker's refusal in words; the hook's own words where it was the hook."""
    said = str(error.explanation or error)
    hook = _HOOK_SAID.search(said)
    if hook:
        return Unavailable("The GPU was not given to the container: {said}",
                           reason="pin-refused", detail=said, said=hook[1].strip().rstrip(": "))
    if "could not select device driver" in said or HOOK in said:
        return Unavailable(
            "Docker finds no NVIDIA hook, so the container cannot get its GPU. The operator: "
            "install nvidia-container-toolkit and restart Docker (madang doctor).",
            reason="no-hook", detail=said,
        )
    if error.status_code == HTTPStatus.NOT_FOUND and "image" in said.lower():
        return Unavailable("The image is not on this machine: {said}",
                           reason="image-missing", said=said)
    return Unavailable("Docker did not start the container: {said}", reason="docker", said=said)
