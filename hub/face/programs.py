"""What Madang keeps running, where it answers, and what each of it needs."""

import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from hub.config import Settings
from hub.errors import Unavailable
from hub.face import keys
from hub.face.children import Program
from hub.machine import taken

ROOT = Path(__file__).resolve().parents[2]
_PAGES = Path(__file__).parent / "proxy"  # error.html: shown while the hub is away
_PROXY_START = 10


def programs(
    settings: Settings, config: Path | None, resync: Callable[[], None]
) -> list[Program]:
    """The proxy and the hub, as the settings say.

    Args:
        resync: called when the proxy has been started again and has no routes.
    """
    logs = settings.data / "log"
    environment = {
        "PATH": search_path(),
        "CONFIGPROXY_AUTH_TOKEN": keys.read(settings, "proxy.token"),
        "PYTHONPATH": str(ROOT),
        **({"MADANG_CONFIG": str(config)} if config else {}),
    }
    argv = [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "spawner_config.py")]
    return [
        Program("proxy", _proxy(settings), logs / "proxy.log", environment, cwd=settings.data,
                patience=5, restarted=resync),
        Program("hub", argv, logs / "hub.log", environment, cwd=settings.data),
    ]


def _proxy(settings: Settings) -> list[str]:
    script = ROOT / ".madang/node/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    node = shutil.which("node", path=search_path())
    if not node or not script.exists():
        raise Unavailable("The proxy is not installed: `make run` installs Node.js and it.")
    return [
        node, "--require", str(_PAGES / "steady.cjs"), str(script),
        "--ip", settings.bind, "--port", str(settings.port),
        "--api-ip", "127.0.0.1", "--api-port", str(settings.proxy_api_port),
        # not the hub's error pages: most errors are that the hub is away
        "--error-path", str(_PAGES),
        # longer than any client of ours keeps one (httpx: 5 s, which is this proxy's default too)
        "--keep-alive-timeout", "75000",
    ]


def search_path() -> str:
    """PATH for the children: this environment's programs first (Node.js may be one of them)."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


def check_ports(settings: Settings, gateway: str) -> None:
    """Every port of ours can be had; the hub and the service listen on `gateway`.

    Raises:
        Unavailable: names who has it and the setting that chooses another.
    """
    wanted = (
        (settings.bind, "port"), ("127.0.0.1", "proxy_api_port"),
        (gateway, "hub_port"), (gateway, "service_port"),
    )
    for address, name in wanted:
        who = taken(address, getattr(settings, name))
        if who:
            raise Unavailable(
                "Port {port} is taken by {who}. Stop it, or choose another: MADANG_{name}=…",
                port=getattr(settings, name), who=who, name=name.upper())


def give_routes_back(settings: Settings, gateway: str) -> bool:
    """Have the hub tell a proxy that was started again where everybody's server is.

    The hub itself looks only every five minutes. False where it cannot be asked; a hub that starts
    does it by itself.
    """
    end = time.monotonic() + _PROXY_START
    while taken("127.0.0.1", settings.proxy_api_port) is None and time.monotonic() < end:
        time.sleep(0.1)
    token = {"Authorization": f"token {keys.read(settings, 'operator.token')}"}
    address = f"http://{gateway}:{settings.hub_port}/hub/api/proxy"
    return answers(urllib.request.Request(address, method="POST", headers=token))


def url(settings: Settings) -> str:
    """Where people on this machine reach Madang."""
    everywhere = settings.bind in {"0.0.0.0", "::", ""}  # noqa: S104 - compared, not bound
    return f"http://{'127.0.0.1' if everywhere else settings.bind}:{settings.port}"


def answers(asked: str | urllib.request.Request) -> bool:
    """Whether an address of ours answers with 200."""
    try:
        # a campus proxy in the environment must not be asked for our own machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=10) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError, ValueError):
        return False


def unit(settings: Settings, config: Path | None) -> str:
    """A systemd unit that runs Madang from boot."""
    environment = f"Environment=MADANG_CONFIG={config}\n" if config else ""
    return f"""# /etc/systemd/system/{settings.name}.service
[Unit]
Description=Madang, a Jupyter workspace on shared GPUs
Documentation=file://{ROOT}/README.md
Wants=network-online.target
After=network-online.target docker.service
# not Requires=: the hub outlives a restart of Docker, and says so on its pages meanwhile
Wants=docker.service

[Service]
{environment}WorkingDirectory={ROOT}
ExecStart={Path(sys.executable).parent / "madang"} serve
Restart=always
RestartSec=2
# the supervisor stops the hub, then the proxy; containers belong to Docker and go on
KillMode=mixed
TimeoutStopSec=60
LimitNOFILE=65536
UMask=0027

[Install]
WantedBy=multi-user.target
"""
