"""What a server said last, kept before its container is removed: afterwards nobody can look."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from hub.face.words import say

LINES = 200
_LONGEST = 64 * 1024  # characters; a line may be as long as a program likes


@dataclass(frozen=True)
class LastWords:
    """The end of a server. `exit_code` is None and `log` empty where nobody could look."""

    at: datetime
    cause: str
    exit_code: int | None = None
    oom: bool = False
    log: str = ""


def of_container(
    found: Mapping[str, Any] | None, log: bytes, *, cause: str, at: datetime
) -> LastWords:
    """From what `docker inspect` told and the end of the log; None: no container was there."""
    state = (found or {}).get("State", {})
    code = None if state.get("Running", True) else state.get("ExitCode")
    text = log.decode(errors="replace")[-_LONGEST:]
    return LastWords(at, cause, code, bool(state.get("OOMKilled")), text)


def keep(data: Path, server: str, words: LastWords) -> None:
    """Save as `<data>/logs/servers/<server>.log`, mode 600: one line of JSON, then the log.

    `server` is the container's name, which is safe as a file's.
    """
    path = _path(data, server)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = asdict(words) | {"at": words.at.isoformat()}
    log = head.pop("log")
    aside = path.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(head, ensure_ascii=False) + "\n" + log)
    aside.replace(path)


def adopt(data: Path, server: str, lease: str) -> None:
    """Take over what the broker has kept of a container that it removed before we could look."""
    kept = data / "logs" / "leases" / f"{lease}.log"
    try:
        at = datetime.fromtimestamp(kept.stat().st_mtime, UTC)
        head, _, log = kept.read_text(errors="replace").partition("\n")
        ended = json.loads(head)
    except (OSError, ValueError):
        return
    words = LastWords(
        at, "its server exited", ended.get("exit_code"), bool(ended.get("oom")), log[-_LONGEST:]
    )
    keep(data, server, words)


def read(data: Path, server: str) -> LastWords | None:
    """What was kept last for `server`; None where there is nothing, or nothing legible."""
    try:
        head, _, log = _path(data, server).read_text(errors="replace").partition("\n")
        values = json.loads(head)
        return LastWords(**values | {"at": datetime.fromisoformat(values["at"]), "log": log})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def explain(language: str, words: LastWords) -> str:
    """Why the server ended, in one or two sentences for its owner."""
    if words.oom:
        return say(language, "It used more memory than a container may have, and was stopped.")
    if words.exit_code is not None:
        return say(language, "It exited with code {code}.", code=words.exit_code)
    return ""


def as_html(language: str, message: str, words: LastWords | None) -> str:
    """`message` and the end of the log, escaped: what a student's program prints is not trusted."""
    html = Markup("<span>{}</span>").format(message)
    if words is not None and words.log.strip():
        html += Markup(
            '<details class="madang-log"><summary>{}</summary><pre tabindex="0">{}</pre></details>'
        ).format(say(language, "The end of its log"), escape(words.log))
    return str(html)


def _path(data: Path, server: str) -> Path:
    return data / "logs" / "servers" / f"{server}.log"
