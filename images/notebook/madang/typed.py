"""What a person typed or named on the command line, as values; every mistake is one clear line."""

import ast
import base64
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from madang import packing
from madang.client import Problem
from madang.messages import t

LARGEST = 200  # MiB of a file that is read at all; the service has its own limit after stripping
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_UNITS = (86400, 3600, 60, 1)
_TOLD = 8  # names of what is left out


def notebook(path: Path) -> dict[str, Any]:
    """The notebook in a file, without outputs (a run makes its own) and with its git commit.

    Raises:
        Problem: no such file, too large, not JSON, not a notebook.
    """
    found = _json(_read(path), path)
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        raise Problem(t("{path} is not a notebook: it has no list of cells", path=path))
    for cell in found["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            cell |= {"outputs": [], "execution_count": None}
    metadata = found.setdefault("metadata", {})
    if isinstance(metadata, dict):
        # what an earlier run left there goes
        metadata["madang"] = {"commit": _commit(path)}
    return found


def place(path: Path, cwd: str | None, *, snapshot: bool) -> tuple[dict[str, Any], str]:
    """(where the run of a notebook shall work, as the service takes it; a line on that or "").

    In a copy of the notebook's folder as it is now; without a snapshot, or where a folder of the
    home is named, in that folder itself.

    Raises:
        Problem: the folder is too large to be copied.
    """
    if cwd is not None or not snapshot:
        return {"cwd": _in_home(path) if cwd is None else cwd}, ""
    folder = path.absolute().parent
    if Path(os.environ.get("HOME", "/")).is_relative_to(folder):
        text = t("the notebook lies in your home itself, which is not copied: it runs there")
        return {"cwd": _in_home(path)}, text
    try:
        packed = packing.pack(folder, snapshot_most(), without=path.name)
    except packing.Unpackable as e:
        raise Problem(str(e)) from e
    return {"cwd": "", "snapshot": base64.b64encode(packed.data).decode()}, _copied(packed)


def _in_home(path: Path) -> str:
    """The notebook's folder below the home; "" on the host, where homes are elsewhere."""
    home, folder = Path(os.environ.get("HOME", "/")), path.absolute().parent
    in_server = "JUPYTERHUB_USER" in os.environ and folder.is_relative_to(home)
    return str(folder.relative_to(home)) if in_server else ""


def snapshot_most() -> int:
    """The largest folder that this installation takes, packed, MiB."""
    text = os.environ.get("MADANG_SNAPSHOT_MIB", "")
    return int(text) if text.isdecimal() else packing.LIMIT


def _copied(packed: packing.Packed) -> str:
    if not packed.files and not packed.left_out:
        return ""
    names = ", ".join(packed.left_out[:_TOLD]) + (", …" if packed.left_out[_TOLD:] else "")
    size = (len(packed.data) + 1023) // 1024
    if names:
        return t(
            "copied along: {files} files, {size} KiB; left out: {names}", files=packed.files,
            size=size, names=names,
        )
    return t("copied along: {files} files, {size} KiB", files=packed.files, size=size)


def parameters(path: Path | None, pairs: Sequence[str]) -> dict[str, Any]:
    """Parameters of a file and of `-p NAME=VALUE`; the latter win.

    Raises:
        Problem: unreadable, not an object, or a pair that is none.
    """
    return {**_file(path), **_pairs(pairs)}


def seconds(text: str) -> int:
    """`90`, `30m`, `3h`, `1h30m`, `1d` in seconds; 0 for an empty text.

    Raises:
        Problem: anything else, and a time of nothing.
    """
    if not text:
        return 0
    found = _TIME.fullmatch(text)
    parts = zip(found.groups(), _UNITS, strict=True) if found else ()
    total = sum(int(number or 0) * unit for number, unit in parts)
    if not total:
        raise Problem(t("--timeout wants seconds, or 30m, 3h, 1h30m, 1d, not {text}", text=text))
    return total


def value(text: str) -> Any:
    """JSON, else a Python literal that JSON can hold, else the text itself."""
    tries: tuple[Callable[[str], Any], ...] = (_strict, ast.literal_eval)
    for parse in tries:
        try:
            found = parse(text)
            json.dumps(found, allow_nan=False)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        # a tuple becomes the list that JSON makes of it, here already
        return json.loads(json.dumps(found))
    return text


def _strict(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON: as a text they reach the notebook


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size >> 20
        if size > LARGEST:
            raise Problem(t(
                "{path} is {size} MiB; the largest notebook that is read is {most} MiB",
                path=path, size=size, most=LARGEST,
            ))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise Problem(t("there is no file {path}", path=path)) from e
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "UTF-8"
        raise Problem(t("cannot read {path}: {error}", path=path, error=why)) from e


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as e:
        raise Problem(t(
            "{path} is not a notebook: not JSON (line {line}: {error})",
            path=path, line=e.lineno, error=e.msg,
        )) from e


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    text = _read(path)
    found = _yaml(text, path) if path.suffix in {".yaml", ".yml"} else _parameters(text, path)
    if not isinstance(found, dict):
        raise Problem(t("{path} must hold one object of names and values", path=path))
    return found


def _parameters(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        raise Problem(t("cannot read {path}: {error}", path=path, error=e)) from e


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]  # papermill brings it into the image; a host need not have it
    except ImportError as e:
        raise Problem(t(
            "{path} is YAML, and PyYAML is not installed here; give it as JSON", path=path
        )) from e
    try:
        # a date becomes its text: parameters are JSON values
        return json.loads(json.dumps(yaml.safe_load(text), default=str))
    except yaml.YAMLError as e:
        why = " ".join(str(e).split())
        raise Problem(t("cannot read {path}: {error}", path=path, error=why)) from e


def _pairs(pairs: Sequence[str]) -> dict[str, Any]:
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise Problem(t("-p wants NAME=VALUE, not {text}", text=repr(pair)))
        values[name] = value(text)
    return values


def _commit(path: Path) -> str:
    """The commit of the notebook's repository, `-dirty` if it differs there; "" without one."""
    folder = str(path.absolute().parent)
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + ("-dirty" if _git(folder, "status", "--porcelain", "--", path.name) else "")


def _git(folder: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
