"""What the runner is asked to do; what cannot be done is refused before a kernel starts."""

# papermill, nbclient and nbformat have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbformat import NotebookNode

from madang.kernels import Specs


class BadJob(Exception):
    """The job cannot be done as it stands; the text is for the person who asked."""


@dataclass(frozen=True)
class Secret:
    """A secret that the run was given: a file, and with `env` also an environment variable."""

    name: str
    path: Path
    env: bool = False


@dataclass(frozen=True)
class Job:
    """One run. `folder` and `cwd` are relative to the home; `timeout` in seconds, 0 for none.

    `attempt` counts from 1: a run that had to give its slice back is begun again. `snapshot` is a
    packed folder that it works in a copy of, instead of in the home; `cwd` is below it then.
    """

    id: str
    notebook: Path
    name: str
    folder: PurePosixPath
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cwd: PurePosixPath | None = None
    timeout: float = 0
    kernel: str | None = None
    resume: bool = False
    grace: float = 20
    attempt: int = 1
    snapshot: Path | None = None
    secrets: tuple[Secret, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kernel:
    """A kernel that the image has."""

    name: str
    language: str


def read_job(path: Path) -> Job:
    """The job in a file.

    Raises:
        BadJob: unreadable, not JSON, a value missing or of the wrong kind, a path that leaves the
            home.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise BadJob(f"The job {path} cannot be read: {e}") from e
    try:
        return _job(data)
    except KeyError as e:
        raise BadJob(f"The job {path} lacks {e}.") from e
    except (TypeError, ValueError, AttributeError) as e:
        raise BadJob(f"The job {path} is malformed: {e}") from e


def _job(data: Mapping[str, Any]) -> Job:
    # one ending, which the output gets back: the service looks for `x.ipynb.ipynb` by its name
    name = str(data["name"]).removesuffix(".ipynb")
    if not name or "/" in name or name.startswith("."):
        raise BadJob(f"{name!r} is no name for a notebook's file.")
    return Job(
        id=str(data["id"]),
        notebook=Path(data["notebook"]),
        name=name,
        folder=_inside(data["folder"]),
        parameters=dict(data.get("parameters") or {}),
        cwd=_inside(data["cwd"], home=True) if data.get("cwd") else None,
        timeout=float(data.get("timeout") or 0),
        kernel=data.get("kernel"),
        resume=bool(data.get("resume")),
        grace=float(data.get("grace", 20)),
        attempt=int(data.get("attempt", 1)),
        snapshot=Path(data["snapshot"]) if data.get("snapshot") else None,
        secrets=tuple(
            Secret(str(x["name"]), Path(x["path"]), env=x["env"] is True)
            for x in data.get("secrets") or ()
        ),
        record=dict(data.get("record") or {}),
    )


def _inside(text: str, *, home: bool = False) -> PurePosixPath:
    """A path inside the home, or with `home` also the home itself (".")."""
    path = PurePosixPath(text)
    if (not path.parts and not home) or path.is_absolute() or ".." in path.parts:
        raise BadJob(f"The folder {text!r} must lie inside the home.")
    return path


def read_notebook(path: Path, name: str) -> NotebookNode:
    """The notebook, upgraded to format 4.5.

    Raises:
        BadJob: unreadable, not JSON, or not a notebook.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as e:
        raise BadJob(f"The notebook {name} cannot be read: {e.strerror}.") from e
    except ValueError as e:
        raise BadJob(f"{name} is not a notebook: it is not JSON ({e}).") from e
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise BadJob(f"{name} is not a notebook: it names no notebook format.")
    try:
        return nbformat.v4.upgrade(nbformat.reads(text, as_version=4))
    except Exception as e:
        # whatever nbformat stumbles over, the file is at fault and the person must know which
        raise BadJob(f"{name} is not a notebook: {type(e).__name__}: {e}") from e


def choose_kernel(nb: NotebookNode, wanted: str | None) -> Kernel:
    """The kernel to run on: the wanted one, else the notebook's, else python3.

    Raises:
        BadJob: the image does not have it; says which ones it has.
    """
    name = wanted or nb.metadata.get("kernelspec", {}).get("name") or "python3"
    manager = Specs()
    try:
        return Kernel(name, manager.get_kernel_spec(name).language)
    except NoSuchKernel as e:
        has = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        raise BadJob(f"The kernel “{name}” is not in this image; the image has: {has}.") from e


def check_parameters(nb: NotebookNode, given: Mapping[str, Any], kernel: Kernel) -> None:
    """Refuse names the notebook does not set; papermill would only warn, and run without them.

    Raises:
        BadJob: naming the unknown ones and the known ones.
    """
    bad = sorted(k for k in given if not k.isidentifier())
    if bad:
        raise BadJob(f"{', '.join(bad)} cannot be the name of a parameter.")
    cells = [c for c in nb.cells if "parameters" in c.metadata.get("tags", [])]
    if given and not cells:
        raise BadJob("The notebook takes no parameters: no cell of it is tagged “parameters”.")
    if not given or kernel.language.lower() != "python":
        return  # other languages: papermill cannot tell what a cell declares
    known = declared(cells[0].source)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadJob(
            f"The notebook does not know the parameter {', '.join(unknown)}. "
            f"It knows: {', '.join(known) or 'none'}."
        )


def declared(source: str) -> list[str]:
    """Names that Python code sets at its top level, in order; lines of magic are passed over."""
    try:
        body = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)).body
    except SyntaxError:
        return []
    found: list[str] = []
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        found += [t.id for t in targets if isinstance(t, ast.Name)]
    return found
