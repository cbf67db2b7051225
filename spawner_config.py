"""JupyterHub's configuration: Settings -> c.*. Wiring only, nothing is decided here."""

import os
import sys
from pathlib import Path

from jupyterhub.services import service

import hub.config
from hub import metrics
from hub.broker import open_broker
from hub.face import accounts, hubpages, keys, spawner

ROOT = Path(__file__).resolve().parent
DAY = 24 * 3600
SERVICE, CULLER = "madang", "madang-culler"
MAY_SEE = f"access:services!service={SERVICE}"

c = get_config()  # type: ignore[name-defined]
settings = hub.config.load()
keys.ensure(settings)
broker = open_broker(settings)
metrics.expect(x.group for x in broker.members())
gateway = broker.network().gateway

# ---- the hub: on the containers' network; people come through the proxy -----------------------
c.JupyterHub.bind_url = f"http://{settings.bind}:{settings.port}/"
c.JupyterHub.hub_bind_url = f"http://{gateway}:{settings.hub_port}"
c.JupyterHub.hub_connect_ip = gateway
c.JupyterHub.db_url = f"sqlite:///{settings.data / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(keys.path(settings, "cookie-secret"))
c.JupyterHub.template_paths = [str(ROOT / "hub" / "face" / "templates")]
c.JupyterHub.template_vars = hubpages.template_vars(settings, broker)
c.JupyterHub.allow_named_servers = False
# a restart of the hub ends nobody's server, and its limits are the broker's
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}

c.JupyterHub.proxy_class = "jupyterhub.proxy.ConfigurableHTTPProxy"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
c.ConfigurableHTTPProxy.auth_token = keys.read(settings, "proxy.token")

# ---- servers ------------------------------------------------------------------------------------
c.JupyterHub.spawner_class = spawner.bound(settings, broker)
# ours begins when it is a server's turn; JupyterHub's would count the wait for the turn
c.Spawner.start_timeout = DAY
c.Spawner.http_timeout = settings.start_timeout
c.Spawner.poll_interval = 10
c.Spawner.consecutive_failure_limit = 0
c.Spawner.default_url = "/lab"
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", MAY_SEE]
c.DockerSpawner.remove = True
c.DockerSpawner.pull_policy = "never"

# ---- people -------------------------------------------------------------------------------------
accounts.configure(c, settings, broker)
c.JupyterHub.load_groups = accounts.groups(broker)

# ---- the service, and the command line on the host ----------------------------------------------
# a service that was killed would be missed for half a minute; no setting reaches these spawners
service._ServiceSpawner.poll_interval = 5  # noqa: SLF001
c.JupyterHub.services = [
    {
        "name": SERVICE,
        "command": [sys.executable, "-m", "hub.face.service"],
        "url": f"http://{gateway}:{settings.service_port}",
        "cwd": str(ROOT),
        "environment": {k: v for k, v in os.environ.items() if k.startswith(hub.config.ENV)}
        | {"PYTHONPATH": str(ROOT)},
        "oauth_no_confirm": True,
    },
    {"name": "madang-host", "api_token": keys.read(settings, "operator.token"), "display": False},
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", MAY_SEE]},
    # proxy: the supervisor has the hub give a restarted proxy its routes back
    {"name": "madang-host", "scopes": [MAY_SEE, "proxy"], "services": ["madang-host"]},
    {
        "name": "madang-service",
        "services": [SERVICE],
        "scopes": [
            "list:users", "read:servers", "start:servers", "delete:servers",  # resume and stop
        ],
    },
]
if settings.cpu_idle:
    c.JupyterHub.services.append({
        "name": CULLER,
        "command": [
            sys.executable, "-m", "hub.face.culler", f"--timeout={settings.cpu_idle}",
            "--cull-every=60",
        ],
        "cwd": str(ROOT),
        "environment": {"PYTHONPATH": str(ROOT)},
        "display": False,
    })
    c.JupyterHub.load_roles.append({
        "name": CULLER,
        "services": [CULLER],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    })
