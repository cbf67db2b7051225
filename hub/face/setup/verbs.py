"""The verbs of `make` that need the machine: run, down, status, logs, doctor, images, clean."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from hub.face.setup import dockerd, parts, system
from hub.face.setup.talk import ROOT, WORK, Stop, say
from hub.machine import taken

_RELEASES = {"debian": 12, "ubuntu": 24}
_ENGINES = Path("/var/lib/docker")
_REFUSED = 2
_SILENT = 4  # of `madang status`: it runs, and does not answer (yet)
_FOLLOW = ("serve.log", "hub.log", "proxy.log")


def run() -> None:
    """Everything between a fresh checkout and a hub that answers."""
    begun = time.monotonic()
    _welcome()
    _port_is_ours_or_free()
    dockerd.ensure()
    _say_what_the_hook_does()
    parts.git()
    parts.python()
    parts.proxy()
    parts.images()
    _madang("serve", "--detach")
    say(f"Ready after {time.monotonic() - begun:.0f} s.\n")
    _madang("accounts")


def down() -> None:
    """Stop the hub, the proxy and this installation's containers; keep the data."""
    if not parts.MADANG.exists():
        say("Nothing is installed here, so nothing runs.")
        return
    _madang("down")
    if dockerd.PID.exists() and not _other_containers():
        dockerd.stop()
        say("Stopped the Docker Engine that `make run` had started.")


def status() -> None:
    """What runs."""
    _madang("status")


def doctor() -> None:
    """Check the machine."""
    _madang("doctor")


def logs() -> None:
    """Show the newest lines of the logs and follow them, until interrupted."""
    folder = Path(system.setting("data", str(WORK))) / "log"
    names = [str(folder / x) for x in _FOLLOW if (folder / x).exists()]
    if not names:
        raise Stop(f"No logs in {folder} yet: `make run` first.")
    os.execvp("tail", ["tail", "-n", "40", "-F", *names])


def images() -> None:
    """Build the images."""
    dockerd.ensure()
    parts.images()


def clean() -> None:
    """Delete what `make` made in the checkout, except the data."""
    if _running():
        raise Stop("Madang is running: `make down` first.")
    caches = (".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", "build")
    made = [parts.VENV, parts.NODE, *(ROOT / x for x in caches), *ROOT.glob("*.egg-info")]
    for path in made:
        if path.exists():
            say(f"deleting {path.relative_to(ROOT)}")
            shutil.rmtree(path)
    say(f"Kept: the data in {system.setting('data', str(WORK))} (homes, database, secrets), Docker "
        "and its images\n(`docker image ls 'madang/*'`), packages of the distribution.")


def _welcome() -> None:
    release = system.release()
    name, number = release.get("ID", "?"), release.get("VERSION_ID", "0")
    if int(number.partition(".")[0] or 0) < _RELEASES.get(name, 10**6):
        say(f"This is {release.get('PRETTY_NAME', 'an unknown system')}; Madang is made for "
            "Debian 12 and Ubuntu 24.04. Going on.")
    if system.simulated():
        cut = "one as 3g.20gb + 2g.10gb + 2 x 1g.5gb, one as 3 x 2g.10gb + 1g.5gb"
        say("No NVIDIA driver here: Madang simulates two A100-40GB cards, cut into slices: "
            f"{cut}.\nEverything but the silicon is real.")


def _port_is_ours_or_free() -> None:
    bind, port = system.setting("bind", "127.0.0.1"), int(system.setting("port", "8000"))
    who = taken(bind, port)
    if who and not _running():
        raise Stop(f"Port {port} is taken by {who}. Stop it, or take another port: "
                   f"MADANG_PORT={port + 100} make run")


def _running() -> bool:
    """Whether this installation's supervisor runs, the only one that may have our ports."""
    if not parts.MADANG.exists():
        return False
    asked = [str(parts.MADANG), "status"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode == _REFUSED:
        raise Stop(done.stderr.strip())
    return done.returncode in (0, _SILENT)


def _say_what_the_hook_does() -> None:
    if system.simulated() and dockerd.install_hook() and not dockerd.PID.exists():
        say("  Docker was running already, so it does not know Madang's stub hook: containers are\n"
            "  pinned by their environment only, and have no `nvidia-smi`. To have it, add\n"
            f"  {dockerd.HOOKS} to dockerd's PATH and restart it (`make doctor` tells).")


def _other_containers() -> bool:
    done = subprocess.run(["docker", "ps", "-q"], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip())


def _madang(*arguments: str) -> None:
    if not parts.MADANG.exists():
        raise Stop("Madang is not installed here yet: `make run` first.")
    env = {**os.environ, "PATH": parts.search_path()}
    done = subprocess.run([str(parts.MADANG), *arguments], env=env, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
