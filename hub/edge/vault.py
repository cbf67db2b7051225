"""The operator's secrets for runs: at rest in the data folder, and laid out in memory for runs.

At rest: `<data>/run-secrets/NAME.json`, of mode 600. For a run: a folder in a file system in
memory, below one that only root can enter, which is mounted into its container read-only. A value
is in no environment, label or layer of the container, so `docker inspect` and `docker commit`
show none, and none is on the disk of Docker.
"""

import base64
import binascii
import hashlib
import json
import logging
import os
import shutil
import stat
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from hub.config import Settings
from hub.core.secret import Secret, check_name, is_name
from hub.errors import Unavailable

log = logging.getLogger("madang.vault")
_UID = 1000  # the student in every image
_OWN = 0o700
_MEMORY = (Path("/run"), Path("/dev/shm"))  # noqa: S108 - who owns what is there is looked at
_NEW = ".new"


class Vault:
    """Secrets of one installation; needs root.

    Args:
        memory: folder in whose stead secrets are laid out; by default one in memory.
    """

    def __init__(self, settings: Settings, memory: Path | None = None) -> None:
        self._root = settings.data / "run-secrets"
        # one of its own, also where somebody runs two of one name: each sweeps what is not its
        own = hashlib.sha256(str(settings.data).encode()).hexdigest()[:8]
        self._memory = (memory or in_memory()) / "madang-secrets" / f"{settings.name}-{own}"
        self._lock = threading.Lock()

    # ---- at rest ---------------------------------------------------------------------------

    def list(self) -> list[Secret]:
        """All secrets by name; a file that is none is said in the log and left out."""
        names = sorted(x.stem for x in self._root.glob("*.json") if is_name(x.stem))
        return [x[0] for x in map(self.get, names) if x is not None]

    def get(self, name: str) -> tuple[Secret, bytes] | None:
        """A secret and its value; None where there is none that can be read.

        Raises:
            Unavailable: it is there and may not be read.
        """
        check_name(name)
        path = self._root / f"{name}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            groups, users = map(str, found["groups"]), map(str, found["users"])
            secret = Secret(name, tuple(groups), tuple(users), env=found["env"] is True)
            return secret, base64.b64decode(found["value"], validate=True)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, binascii.Error) as e:
            log.error("%s is no secret of Madang's: %s", path, type(e).__name__)  # noqa: TRY400
            return None
        except OSError as e:
            raise _unavailable(path, e) from e

    def put(self, secret: Secret, value: bytes) -> None:
        """Keep a secret, in place of one of that name; whole or not at all.

        Raises:
            Unavailable: it cannot be written.
        """
        check_name(secret.name)
        path = self._root / f"{secret.name}.json"
        text = json.dumps({
            "groups": secret.groups, "users": secret.users, "env": secret.env,
            "value": base64.b64encode(value).decode(),
        })
        part = path.with_suffix(_NEW)
        try:
            self._root.mkdir(mode=_OWN, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            _write(part, text.encode(), 0o600)
            part.replace(path)
        except OSError as e:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise _unavailable(path, e) from e

    def remove(self, name: str) -> bool:
        """Forget a secret; False where there was none. Runs that have it go on with it.

        Raises:
            Unavailable: it cannot be.
        """
        check_name(name)
        try:
            (self._root / f"{name}.json").unlink()
        except FileNotFoundError:
            return False
        except OSError as e:
            raise _unavailable(self._root, e) from e
        return True

    def exposed(self) -> Iterator[Path]:
        """What somebody else than root could read of it."""
        for path in (self._root, *self._root.glob("*")):
            with suppress(FileNotFoundError):
                seen = path.lstat()
                if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
                    yield path

    # ---- laid out --------------------------------------------------------------------------

    def lay(self, lease: str, values: Mapping[str, bytes]) -> Path:
        """The folder with these files for the container of a lease, each readable by the student.

        One that is there already stays as it is: a container may have it.

        Raises:
            Unavailable: it cannot be made, or somebody else has a folder in its place.
        """
        folder = self._memory / lease
        part = folder.with_name(lease + _NEW)
        with self._lock:
            try:
                self._enter()
                if not folder.exists():
                    shutil.rmtree(part, ignore_errors=True)
                    part.mkdir(mode=_OWN)
                    for name, value in values.items():
                        _write(part / name, value, 0o400, _UID)
                    os.chown(part, _UID, _UID)
                    part.chmod(0o500)
                    part.rename(folder)
            except OSError as e:
                shutil.rmtree(part, ignore_errors=True)
                raise _unavailable(folder, e) from e
        return folder

    def sweep(self, keep: Collection[str]) -> None:
        """Take away what is laid out for other leases than these."""
        with self._lock, suppress(FileNotFoundError):
            for name in os.listdir(self._memory):
                if name.removesuffix(_NEW) not in keep:
                    shutil.rmtree(self._memory / name, ignore_errors=True)

    def leave(self) -> None:
        """Take away all that is laid out, and the folder itself; what is at rest stays."""
        with self._lock:
            shutil.rmtree(self._memory, ignore_errors=True)

    def _enter(self) -> None:
        """Both folders above are there and root's alone: anybody may write into /dev/shm."""
        for folder in (self._memory.parent, self._memory):
            with suppress(FileExistsError):
                folder.mkdir(mode=_OWN)
            seen = folder.lstat()
            alone = stat.S_ISDIR(seen.st_mode) and stat.S_IMODE(seen.st_mode) == _OWN
            if not alone or seen.st_uid != os.geteuid():
                raise PermissionError(f"{folder} is not ours alone")


def in_memory() -> Path:
    """A folder of the machine that is in memory; /run where none is. It may be swapped out."""
    kinds = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, place, kind, *_ = line.split(" ")
            kinds[place] = kind
    return next((x for x in _MEMORY if kinds.get(str(x)) == "tmpfs"), _MEMORY[0])


def _write(path: Path, content: bytes, mode: int, owner: int | None = None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content)
        file.flush()
        if owner is not None:
            os.fchown(fd, owner, owner)
        os.fchmod(fd, mode)
        os.fsync(fd)


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "The secrets are not available just now. Please tell the operator.", reason="secret",
        detail=f"{path}: {error}; Madang must run as root",
    )
