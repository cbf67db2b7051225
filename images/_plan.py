"""What is to be built: folders, their order, and the hash that says whether one changed."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from _docker import BuildError

NOISE = ("__pycache__", "*.pyc", "*.egg-info", ".ruff_cache", ".mypy_cache", ".pytest_cache")


@dataclass(frozen=True)
class Options:
    """What shapes an image, apart from its folder."""

    torch: str
    """cuda or cpu."""
    base: str
    """A Debian or Python image to start from; empty: pull one, or bootstrap."""
    ca_bundle: Path | None
    wheels: tuple[Path, ...]


@dataclass
class Image:
    """A folder that becomes an image."""

    folder: Path
    hash: str = ""

    @property
    def name(self) -> str:
        """Repository of the image, without a tag."""
        return f"madang/{self.folder.name}"

    @property
    def parents(self) -> set[str]:
        """Names of the madang images that its Dockerfile mentions."""
        text = (self.folder / "Dockerfile").read_text()
        return set(re.findall(r"^(?:FROM|ARG BASE_IMAGE=).*?(madang/[\w.-]+)", text, re.MULTILINE))


def images(root: Path) -> list[Image]:
    """Every folder in `root` with a Dockerfile, parents first; BuildError on a circle."""
    waiting = {
        i.name: i
        for i in (Image(d) for d in sorted(root.iterdir()) if (d / "Dockerfile").is_file())
    }
    ordered: list[Image] = []
    while waiting:
        ready = [i for i in waiting.values() if not i.parents & waiting.keys()]
        if not ready:
            raise BuildError(f"these images start from each other: {', '.join(waiting)}")
        ordered += ready
        for image in ready:
            del waiting[image.name]
    return ordered


def folder_hash(folder: Path, *extra: str) -> str:
    """SHA-256 over names, modes and contents of `folder`, and over `extra`."""
    digest = hashlib.sha256("\0".join(extra).encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(folder)
        if any(Path(part).match(noise) for part in relative.parts for noise in NOISE):
            continue
        digest.update(f"\0{relative}\0{os.access(path, os.X_OK)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def add_hashes(ordered: list[Image], options: Options) -> None:
    """Set `hash` of each image; a child's covers its parents', so it follows them."""
    known: dict[str, str] = {}
    for image in ordered:
        own = (
            (options.base,)
            if image.name == "madang/base"
            else (options.torch, *(w.name for w in options.wheels))
        )
        image.hash = folder_hash(
            image.folder, *own, *(known.get(p, p) for p in sorted(image.parents))
        )
        known[image.name] = image.hash


def torch_wheels(torch: str, folders: str) -> tuple[Path, ...]:
    """Wheels for this build of torch in pip's find-links `folders` (split by spaces).

    CUDA's torch comes from PyPI in several wheels; the CPU's is the one whose
    version ends in +cpu. URLs are left to pip.
    """
    found = [w for f in folders.split() if Path(f).is_dir() for w in sorted(Path(f).glob("*.whl"))]
    if torch == "cpu":
        return tuple(w for w in found if w.name.startswith("torch-") and "+cpu" in w.name)
    return tuple(
        w
        for w in found
        if re.match(r"(torch|triton|nvidia_|cuda_)", w.name) and "+cpu" not in w.name
    )


def wanted(ordered: list[Image], names: list[str]) -> list[Image]:
    """The images in `names` with their parents; all without names; BuildError on an unknown one."""
    by_name = {image.name: image for image in ordered}
    todo = [f"madang/{name}" for name in names] or list(by_name)
    if unknown := [n for n in todo if n not in by_name]:
        raise BuildError(
            f"no folder with a Dockerfile for {', '.join(unknown)}; there are {', '.join(by_name)}"
        )
    chosen: set[str] = set()
    while todo:
        name = todo.pop()
        chosen.add(name)
        todo += [p for p in by_name[name].parents if p in by_name]
    return [image for image in ordered if image.name in chosen]
