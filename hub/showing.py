"""What members may see of a course: a repository of their own, and its read-only data.

Not the repository that instructors push to: whoever may read a repository may read every object in
it, also what is not visible yet. So theirs has commits of its own, with what is visible.
"""

import hashlib
import json
import logging
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from hub.core.courses import FileFact, Release
from hub.edge.blobs import Blobs
from hub.edge.repo import MAIN, GitError, Put, Repo
from hub.errors import Unavailable

log = logging.getLogger("madang.courses")
_OWN, _OPEN = 0o700, 0o755
_WHO = "Madang"
_GONE = ".gone-"  # no course is called so: no container sees it


class Showing:
    """What members of all courses may see.

    Args:
        root: the courses' folder; `data`: that of the read-only data.
    """

    def __init__(self, root: Path, data: Path, blobs: Blobs) -> None:
        self._root = root
        self._data = data
        self._blobs = blobs

    def repo(self, name: str) -> Repo:
        """What members may read; it need not be there yet."""
        return Repo(self._root / name / "members.git")

    def forget(self, name: str) -> None:
        """The next `show` begins anew: something that members saw is to be withdrawn.

        Said before it is, so that whoever is killed in between leaves nothing to be read.

        Raises:
            Unavailable: it cannot be kept.
        """
        try:
            self._anew(name).touch()
        except OSError as e:
            raise unstored(f"{name}: {e}") from e

    def _anew(self, name: str) -> Path:
        return self._root / name / "anew"

    def show(self, name: str, release: Release | None, now: datetime) -> None:
        """Let members see what is visible of this release now; once more changes nothing.

        Raises:
            Unavailable: the disk is full, or git cannot write.
        """
        visible = release.visible(now) if release else ()
        said, mark = self._root / name / "shown", _mark(release, visible)
        anew = self._anew(name).exists()
        try:
            if not anew and said.exists() and said.read_text() == mark and self.repo(name).there:
                return
            said.unlink(missing_ok=True)
            self.lay_out(name, release, visible)
            self._write(name, release, visible, mark, anew=anew)
            said.write_text(mark)
            self._anew(name).unlink(missing_ok=True)
        except (OSError, GitError) as e:
            raise unstored(f"{name}: {e}") from e

    def numbers(self, name: str) -> set[int]:
        """Of which releases there is read-only data."""
        found = (self._data / name).glob("*")
        return {int(x.name) for x in found if x.name.isdecimal()}

    def take_away(self, name: str, number: int) -> None:
        """From now on nobody reads the read-only data of a release.

        Raises:
            OSError: it cannot be.
        """
        aside = self._data / f"{_GONE}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            (self._data / name / str(number)).rename(aside)
            shutil.rmtree(aside)

    def sweep(self) -> None:
        """Remove what somebody who was killed had taken away."""
        for left in self._data.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)

    def lay_out(
        self, name: str, release: Release | None, visible: Sequence[FileFact]
    ) -> None:
        """Lay the read-only data out where containers see them.

        Raises:
            OSError: it cannot be.
        """
        self._data.mkdir(mode=_OWN, parents=True, exist_ok=True)
        # made before there is data: a container's mount is as it was when that started
        top = self._data / name
        _folder(top)
        for one in visible:
            if one.data and release is not None:
                target = top / str(release.number) / one.path
                for parent in reversed(target.relative_to(top).parents):
                    _folder(top / parent)
                if not target.exists():
                    self._blobs.link(one.sha256, target)

    def _write(
        self, name: str, release: Release | None, visible: Sequence[FileFact], mark: str, *,
        anew: bool,
    ) -> None:
        repo = self.repo(name)
        if anew and repo.there:
            gone = repo.path.with_name("members.gone")
            shutil.rmtree(gone, ignore_errors=True)
            repo.path.rename(gone)
            shutil.rmtree(gone)
        repo.make()
        if release is None:
            return
        parent = repo.tip()
        trailer = f"Shown: {mark[:16]}"
        if parent and repo.message(parent).endswith(trailer):
            return
        repo.commit(
            MAIN, self._puts(visible), who=_WHO, at=release.at, parent=parent,
            message=f"Release {release.number}\n\n{release.notes}".strip() + f"\n\n{trailer}\n",
        )

    def _puts(self, visible: Sequence[FileFact]) -> Iterator[Put]:
        for one in visible:
            yield Put(one.path, self._blobs.get(one.sha256), one.executable)


def unstored(detail: str) -> Unavailable:
    """What publishers are told where the courses' folder cannot be written."""
    return Unavailable(
        "The course cannot be stored just now. Please tell the operator.", reason="course",
        detail=detail,
    )


def _mark(release: Release | None, visible: Sequence[FileFact]) -> str:
    """Other for whatever else members would see."""
    found = [[x.path, x.sha256, x.executable, x.data] for x in visible]
    said = json.dumps([release.number if release else 0, found])
    return hashlib.sha256(said.encode()).hexdigest()


def _folder(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(_OPEN)
