"""Who may import whom: `hub/__init__.py` draws the arrows, this reads the imports."""

import ast
import sys
from pathlib import Path

import pytest

from tests.house.sources import IMAGE, ROOT, Import, files, imports, tree

_CORE_LIBRARY = {
    "abc", "ast", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "csv",
    "dataclasses", "datetime", "difflib", "enum", "fnmatch", "fractions", "functools", "hashlib",
    "heapq", "io", "itertools", "json",
    "math", "operator", "pathlib", "re", "string", "tomllib", "types", "typing", "unicodedata",
    "urllib", "uuid", "zoneinfo",
}
# each edge module touches one thing; the standard library is free there
_EDGE_LIBRARY = {
    "store": {"sqlalchemy", "alembic"}, "database": {"sqlalchemy"}, "tables": {"sqlalchemy"},
    "rows": {"sqlalchemy"}, "schema": {"sqlalchemy", "alembic"}, "states": {"sqlalchemy"},
    "writing": {"sqlalchemy"},
    "migrations": {"sqlalchemy", "alembic"}, "gpu": {"pynvml"}, "engine": {"docker", "requests"},
    "hubapi": {"httpx"}, "cron": {"croniter"}, "planned": {"sqlalchemy"},
    "runreads": {"sqlalchemy"}, "courserows": {"sqlalchemy"},
    "coursetables": {"sqlalchemy"}, "diffing": {"nbdime"}, "paper": {"nbconvert", "bleach"},
}
# one edge in several files
_EDGE_PARTS = dict.fromkeys(
    ("database", "tables", "migrations", "rows", "schema", "states", "writing", "planned",
     "runreads", "courserows", "coursetables", "courseforms"),
    "store"
) | dict.fromkeys(("folderio", "folderseen"), "folders")
_FLOOR_LIBRARY = {
    "metrics": {"prometheus_client"}, "gauges": {"prometheus_client"},
    "config": {"pydantic", "pydantic_settings"},
}
_FACE_LIBRARY = {
    "anyio", "babel", "docker", "dockerspawner", "fastapi", "jinja2", "jupyterhub",
    "jupyterhub_idle_culler", "ldap3", "ldapauthenticator", "markupsafe", "oauthenticator",
    "pamela", "prometheus_client", "pydantic", "requests", "rich", "starlette", "tornado",
    "traitlets", "typer", "uvicorn",
}
_IMAGE_LIBRARY = {
    "httpx", "typer", "rich", "papermill", "nbclient", "nbformat", "jupyter_client",
    "jupyter_server", "jupyter_scheduler", "tornado", "traitlets", "click",
    "yaml", "zmq", "jupyter_core",
}


def _outside(one: Import) -> str | None:
    """The outside library that an import names; None for the standard library and ours."""
    top = one.module.partition(".")[0]
    ours = top in {"hub", "madang"} or not top
    return None if ours or top in sys.stdlib_module_names else top


def _hub(one: Import) -> bool:
    return one.module.startswith("hub.")


def _in(module: str, *rooms: str) -> bool:
    return any(module == x or module.startswith(f"{x}.") for x in rooms)


def _edge(path_or_module: str) -> str:
    name = path_or_module.split(".")[2]
    return _EDGE_PARTS.get(name, name)


def _all(folder: str) -> list[Import]:
    return [one for path in files(folder) for one in imports(path)]


def _module(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts)


def test_core_imports_core_and_a_short_list_only() -> None:
    wrong = [
        x for x in _all("hub/core")
        if not (_in(x.module, "hub.core", "hub.errors") if x.module.startswith("hub")
                else x.module.partition(".")[0] in _CORE_LIBRARY)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_core_touches_nothing() -> None:
    """No clock, no chance, no file: `now` is an argument, a path is only a name."""
    impure = {"open", "print", "input", "Path", "now", "today", "utcnow", "monotonic",
              "random", "uuid1", "uuid4", "getenv", "environ"}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {name}"
        for path in files("hub/core") for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and (name := _called(node)) in impure
    ]
    assert not wrong, "\n".join(wrong)


def _called(node: ast.Call) -> str:
    target = node.func
    if isinstance(target, ast.Attribute):
        return target.attr
    return target.id if isinstance(target, ast.Name) else ""


def test_edge_imports_core_and_one_library_and_no_other_edge() -> None:
    wrong = []
    for one in _all("hub/edge"):
        mine = _edge(_module(one.file) + ".")
        library = _outside(one)
        if library and library not in _EDGE_LIBRARY.get(_module(one.file).split(".")[2], set()):
            wrong.append(one)
        allowed = _in(one.module, "hub.core", "hub.errors", "hub.config", "hub.edge")
        other = _in(one.module, "hub.edge") and one.module != "hub.edge" and (
            _edge(one.module) != mine)
        if _hub(one) and (not allowed or other):
            wrong.append(one)
    assert not wrong, "\n".join(map(str, wrong))


def test_the_floor_imports_no_face_and_no_library() -> None:
    wrong = []
    for path in (ROOT / "hub").glob("*.py"):
        for one in imports(path):
            library = _outside(one)
            if library and library not in _FLOOR_LIBRARY.get(path.stem, set()):
                wrong.append(one)
            if _in(one.module, "hub.face", "madang"):
                wrong.append(one)
    assert not wrong, "\n".join(map(str, wrong))


def test_face_never_imports_edge() -> None:
    wrong = []
    for one in _all("hub/face"):
        if _in(one.module, "hub.edge"):
            wrong.append(one)
        library = _outside(one)
        if library and library not in _FACE_LIBRARY:
            wrong.append(one)
        if _in(one.module, "madang") and not one.file.endswith("face/cli.py"):
            wrong.append(one)
    assert not wrong, "\n".join(map(str, wrong))


def test_setup_needs_nothing_that_is_installed_later() -> None:
    wrong = [
        x for x in _all("hub/face/setup")
        if _outside(x) or (_hub(x) and not _in(x.module, "hub.face.setup", "hub.machine"))
    ]
    door = imports(ROOT / "hub/machine.py")
    wrong += [x for x in door if _hub(x) and x.module != "hub.edge.host"]
    wrong += [x for x in imports(ROOT / "hub/edge/host.py") if _hub(x) or _outside(x)]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_image_imports_nothing_of_the_hub() -> None:
    found = [x for path in files(IMAGE) for x in imports(path, ROOT / "images/notebook")]
    wrong = [x for x in found if _in(x.module, "hub")]
    wrong += [x for x in found if (_outside(x) or "httpx") not in _IMAGE_LIBRARY]
    assert not wrong, "\n".join(map(str, wrong))


def test_every_file_of_the_hub_has_a_room() -> None:
    rooms = ("hub/core", "hub/edge", "hub/face")
    known = {p for room in rooms for p in files(room)} | set((ROOT / "hub").glob("*.py"))
    assert set(files("hub")) == known


@pytest.mark.parametrize(("file", "text", "module"), [
    ("hub/core/x.py", "from ..edge import store", "hub.edge.store"),
    ("hub/face/x.py", "def f():\n    import hub.edge.gpu", "hub.edge.gpu"),
    ("hub/x.py", "from hub import metrics", "hub.metrics"),
])
def test_the_reader_finds_every_kind_of_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, module: str
) -> None:
    for name in ("hub/edge/store.py", "hub/edge/gpu.py", "hub/metrics.py", file):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / file).write_text(text)
    monkeypatch.setattr("tests.house.sources.ROOT", tmp_path)
    found = {x.module for x in imports(tmp_path / file, tmp_path)}
    assert module in found
