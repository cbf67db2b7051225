"""One bare repository: made, read and written, by git itself."""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from hub.core.coursetree import Limits
from hub.edge.repo.calling import Git, GitError
from hub.edge.repo.tree import GitTree
from hub.errors import Unavailable

MAIN = "refs/heads/main"
NONE = "0" * 40
_MESSAGE = 4000  # characters
_SAID = 1 << 16
_OWN = 0o700


@dataclass(frozen=True)
class Put:
    """A file of a commit that is made here."""

    path: str
    content: bytes
    executable: bool = False


class Repo:
    """The bare repository at `path`, which need not be there yet.

    Args:
        quarantine: the environment of a hook: also what is being pushed is seen.
    """

    def __init__(self, path: Path, *, quarantine: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._git = Git(path, quarantine)

    @property
    def there(self) -> bool:
        """Whether it was made."""
        return (self.path / "HEAD").exists()

    def make(self) -> None:
        """Make it where it is not there; whole or not at all.

        Raises:
            Unavailable: the disk is full, or git is not there.
        """
        if self.there:
            return
        aside = self.path.with_name(f".new-{os.urandom(6).hex()}")
        try:
            self.path.parent.mkdir(mode=_OWN, parents=True, exist_ok=True)
            Git(aside).run("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
            aside.rename(self.path)
        except (OSError, GitError) as e:
            shutil.rmtree(aside, ignore_errors=True)
            if (self.path / "HEAD").exists():
                return  # somebody else was faster
            raise Unavailable(
                "The course cannot be stored just now. Please tell the operator.",
                reason="course", detail=f"{self.path}: {e}",
            ) from e

    def sweep(self, before: float) -> None:
        """Remove what gits that were killed before this time (Unix) have left in it."""
        for left in (
            *self._unfinished(), *self.path.glob("objects/pack/tmp_*"),
            *self.path.glob("*.lock"), *self.path.glob("refs/**/*.lock"),
        ):
            with suppress(OSError):
                if left.stat().st_mtime < before:
                    _remove(left)

    def forget_unfinished(self) -> None:
        """Remove what was pushed and not taken; nobody may be pushing.

        git does not do it itself when it is ended by a signal.
        """
        for left in self._unfinished():
            with suppress(OSError):
                _remove(left)

    def _unfinished(self) -> list[Path]:
        return list(self.path.glob("objects/tmp_objdir-*"))

    def tip(self, ref: str = MAIN) -> str:
        """The commit of a ref; "" where there is none."""
        try:
            return self._git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").strip()
        except GitError:
            return ""

    def refs(self) -> list[str]:
        """All refs."""
        return self._git.run("for-each-ref", "--format=%(refname)").split()

    def message(self, commit: str) -> str:
        """What a commit says."""
        said = self._git.run("log", "-1", "--no-show-signature", "--format=%B", commit, "--")
        return said.strip()[:_MESSAGE]

    def keeps(self, new: str, old: str) -> bool:
        """Whether nothing of the commit `old` is lost in `new`."""
        done = self._git.done(
            f"--git-dir={self.path}", "merge-base", "--is-ancestor", old, new
        )
        return done.returncode == 0

    def move(self, ref: str, new: str, old: str) -> None:
        """Set a ref from `old` ("" for none) to `new`.

        Raises:
            GitError: it is another one by now.
        """
        self._git.run("update-ref", ref, new, old or NONE)

    def drop(self, ref: str) -> None:
        """Forget a ref."""
        self._git.run("update-ref", "-d", ref)

    def commit(
        self, ref: str, files: Iterable[Put], *, message: str, who: str, at: datetime,
        parent: str = "",
    ) -> str:
        """The commit with just these files, to which the ref points afterwards.

        Raises:
            GitError: the ref has moved away meanwhile, or git cannot write.
        """
        author = re.sub(r"[<>\s]+", " ", who).strip() or "Madang"
        mail = re.sub(r"[^\w.@-]+", ".", author)
        stamp = f"{author} <{mail}@madang> {int(at.timestamp())} +0000"
        with self._git.talk("fast-import", "--quiet", "--done", "--date-format=raw") as process:
            assert process.stdin
            assert process.stderr
            _import(process.stdin, ref, stamp, message, parent, files)
            process.stdin.close()
            said = process.stderr.read(_SAID)
            if process.wait():
                raise GitError(said.decode(errors="replace"))
        return self.tip(ref)

    def tree(self, commit: str, limits: Limits) -> GitTree:
        """What is in a commit."""
        return GitTree(self._git, commit, limits)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _import(
    pipe: IO[bytes], ref: str, stamp: str, message: str, parent: str, files: Iterable[Put]
) -> None:
    said = message.replace("\0", "").encode("utf-8", "replace")
    head = [f"commit {ref}", f"author {stamp}", f"committer {stamp}", f"data {len(said)}"]
    pipe.write("\n".join(head).encode() + b"\n" + said + b"\n")
    pipe.write(f"from {parent}\n".encode() if parent else b"")
    pipe.write(b"deleteall\n")
    for one in files:
        mode = "100755" if one.executable else "100644"
        pipe.write(f"M {mode} inline {_quoted(one.path)}\ndata {len(one.content)}\n".encode())
        pipe.write(one.content + b"\n")
    pipe.write(b"\ndone\n")


def _quoted(path: str) -> str:
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
