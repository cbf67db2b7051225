"""The distribution: root, packages, settings that are needed before Settings can be loaded."""

import os
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

from hub.face.setup.talk import ROOT, Stop, run, say, step

# what a person behind a proxy, a mirror or an own CA has set, and `sudo` would drop
_PASSED_ON = (
    "PIP_", "NPM_CONFIG_", "NODE_", "SSL_", "REQUESTS_CA_", "CURL_CA_", "MADANG_", "DEBIAN_",
    "TORCH", "BASE_IMAGE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "CI", "NO_COLOR",
)

_GET = ("apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3")


def become_root() -> None:
    """Start this program again through sudo unless it runs as root already.

    Madang runs as root, as TLJH does: it starts containers and owns people's homes; the people's
    own programs run without any right, in their containers.
    """
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise Stop("Madang needs root (it starts containers and owns people's homes): run as root.")
    say("Madang needs root (it starts containers and owns people's homes): going on with sudo.")
    kept = [x for x in os.environ if x.upper().startswith(_PASSED_ON)]
    argv = ["sudo", *([f"--preserve-env={','.join(kept)}"] if kept else []),
            sys.executable, "-B", "-m", "hub.face.setup", *sys.argv[1:]]
    os.execvp("sudo", argv)


def release() -> dict[str, str]:
    """/etc/os-release as a dictionary."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return {}
    pairs = (x.split("=", 1) for x in text.splitlines() if "=" in x)
    return {k: v.strip('"') for k, v in pairs}


def ubuntu() -> bool:
    """Whether this is Ubuntu, whose package names differ here and there."""
    return release().get("ID") == "ubuntu"


def installed(package: str) -> bool:
    """Whether dpkg has `package` installed."""
    asked = ["dpkg-query", "-W", "-f", "${Status}", package]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.stdout.endswith("ok installed")


def candidate(package: str) -> bool:
    """Whether apt could install `package`."""
    _refresh()
    done = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate:" in done.stdout and "Candidate: (none)" not in done.stdout


def apt(*packages: str, why: str) -> None:
    """Make sure that the distribution's `packages` are installed."""
    missing = [x for x in packages if not installed(x)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Stop(f"Install {', '.join(missing)} ({why}); Madang does it by itself on Debian 12 "
                   "and Ubuntu 24.04 only.")
    with step(f"Installing {', '.join(missing)} from the distribution", why):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        _refresh()
        run([*_GET, "install", "--no-install-recommends", *missing], env=env)


@cache
def _refresh() -> None:
    run([*_GET, "update"])


def setting(name: str, default: str) -> str:
    """A setting's value before Settings can be loaded: environment, madang.toml, default."""
    value = os.environ.get(f"MADANG_{name.upper()}")
    if value:
        return value
    path = Path(os.environ.get("MADANG_CONFIG") or ROOT / "madang.toml")
    if not path.is_file():
        return default
    try:
        return str(tomllib.loads(path.read_text()).get(name, default))
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise Stop(f"Cannot read the settings file {path}: {e}") from e


def driver() -> bool:
    """Whether this machine has an NVIDIA driver."""
    return Path("/proc/driver/nvidia/version").exists()


def simulated() -> bool:
    """Whether the cards are simulated ones."""
    wanted = setting("gpus", "auto")
    return wanted == "simulated" or (wanted == "auto" and not driver())
