"""A checkpoint's file: written whole or not at all, the one before kept, read only where sound.

With torch it is a file of torch's own, which `torch.load` reads without running code; without, a
zip archive with a pickle in it. Both are zip archives with check sums, so that half a file, or one
with a hole, is found out.
"""

import importlib
import os
import pickle
import stat
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

from madang.files import locked, sync

_MARK = "madang-checkpoint"
_VERSION = 1
_PICKLE = "madang/state.pkl"


class Unfit(Exception):
    """The file is no checkpoint that can be used; the text says why."""


def previous(path: Path) -> Path:
    """Where the checkpoint before lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace the checkpoint; the one that was there is the previous one from now on.

    Raises:
        OSError: no space, or not writable; what was saved last is still there.
        Exception: what pickling raises for something that cannot be pickled; the same.
    """
    aside = path.with_name(f".{path.name}.tmp")  # what a killed writer left is written over
    with locked(path.parent):
        try:
            with aside.open("wb") as f:
                os.fchmod(f.fileno(), stat.S_IRUSR | stat.S_IWUSR)
                _dump({_MARK: _VERSION, **content}, f)
                f.flush()
                os.fsync(f.fileno())
            if path.exists():
                path.replace(previous(path))
            # a kill here leaves the previous one alone: `read` of it is tried next
            aside.replace(path)
            sync(path.parent)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        Unfit: somebody else could have written it, it is torn, or it is none of ours.
        FileNotFoundError: there is none.
        MemoryError: it does not fit.
    """
    _check_owner(path)
    try:
        found = _load(path)
    except MemoryError:
        raise
    except Unfit:
        raise
    except Exception as e:
        # a torn file can make the unpickler raise anything
        raise Unfit(f"it is torn or no checkpoint ({type(e).__name__}: {e})") from e
    if not isinstance(found, dict) or found.get(_MARK) != _VERSION:
        raise Unfit("it was not written by madang.Checkpoint")
    return found


def _dump(content: dict[str, Any], f: IO[bytes]) -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.save(content, f)
        return
    with zipfile.ZipFile(f, "w") as archive, archive.open(_PICKLE, "w", force_zip64=True) as inner:
        pickle.dump(content, inner, protocol=pickle.HIGHEST_PROTOCOL)


def _load(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if not (_PICKLE in names or any(x.endswith("/data.pkl") for x in names)):
            raise Unfit("it is an archive of something else")
        bad = archive.testzip()
        if bad is not None:
            raise Unfit(f"it is damaged ({bad})")
        if _PICKLE in names:
            with archive.open(_PICKLE) as inner:
                return pickle.load(inner)  # noqa: S301 - one's own file: see _check_owner
    torch: Any = importlib.import_module("torch")
    try:
        # to the CPU: the slice of this attempt need not have the card of the last one
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # the notebook has saved an object of a class, not only numbers and tensors
        return torch.load(path, map_location="cpu", weights_only=False)


def _check_owner(path: Path) -> None:
    """Unpickling runs what the file says: it must be one's own, where nobody else can write.

    Raises:
        Unfit: it is not.
        OSError: it is not there.
    """
    for place in (path, path.parent):
        found = place.lstat()
        kind = stat.S_ISREG if place is path else stat.S_ISDIR
        if not kind(found.st_mode):
            raise Unfit("it is a link or something else than a file in a folder")
        if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
            raise Unfit("somebody else could have written it")
