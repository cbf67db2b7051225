"""A person's git: real commits in a folder of their own, and trees that no honest git makes."""

import os
import subprocess
from pathlib import Path


class Work:
    """A working tree of somebody, or a bare repository."""

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8",
            **{f"GIT_{x}_{k}": f"t{'@x' if k == 'EMAIL' else ''}"
               for x in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")},
        }
        if not (folder / ".git").exists():
            self("init", "-q", "-b", "main", *(["--bare"] if bare else []))
            for key in ("core.compression", "pack.window"):
                self("config", key, "0")  # random bytes take git seconds else

    def run(
        self, *arguments: str, given: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """git, however it ends."""
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env={**self.environment, **environment},
            input=given, capture_output=True, timeout=120, check=False,
        )

    def __call__(self, *arguments: str, given: bytes = b"", **environment: str) -> str:
        """What git says; it must do what it is asked."""
        done = self.run(*arguments, given=given, **environment)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, **files: str | bytes) -> "Work":
        """Files; `__` stands for a `/`, a `_` before the suffix for the dot."""
        for name, content in files.items():
            self.put(name.replace("__", "/"), content)
        return self

    def put(self, path: str, content: str | bytes) -> "Work":
        """One file."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def commit(self, message: str = "a change") -> str:
        """Everything as it is."""
        self("add", "-A", "-f")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")

    def blob(self, content: bytes) -> str:
        """A blob's id."""
        return self("hash-object", "-w", "--stdin", given=content)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of (mode, id, name), whatever the names: written as the object's raw bytes."""
        raw = b"".join(
            f"{mode.lstrip('0')} {name}\0".encode("utf-8", "surrogateescape") + bytes.fromhex(id)
            for mode, id, name in sorted(entries, key=lambda x: x[2])
        )
        return self("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=raw)

    def commit_tree(self, tree: str, *parents: str) -> str:
        """A commit of a tree; main points to it."""
        made = self("commit-tree", tree, *(y for x in parents for y in ("-p", x)), "-m", "made")
        self("update-ref", "refs/heads/main", made)
        return made
