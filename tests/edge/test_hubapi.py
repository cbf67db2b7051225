"""Against a real JupyterHub 6 with servers that are processes; no Docker."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.config import Settings
from hub.edge.hubapi import HubApi, Server
from hub.errors import BadInput, NotFound, Unavailable, Unknown

TOKEN = secrets.token_hex(16)
# The proxy is not what is tested: this one takes every route, so no Node.js is needed. A "server"
# answers the hub's look at /user/…/api, and one that is told to waits in its hook as in our line.
CONFIG = f"""
import asyncio, sys
from jupyterhub.proxy import Proxy
from jupyterhub.spawner import SimpleLocalProcessSpawner

SERVE = '''
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("X-JupyterHub-Version", "6"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
'''

class NoProxy(Proxy):
    should_start = False
    routes = {{}}
    async def add_route(self, routespec, target, data):
        self.routes[routespec] = dict(routespec=routespec, target=target, data=data)
    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
    async def get_all_routes(self):
        return self.routes

class Spawner(SimpleLocalProcessSpawner):
    cmd = [sys.executable, "-c", SERVE]
    def get_args(self):
        return []
    def get_env(self):
        return {{**super().get_env(), "PORT": str(self.port)}}
    async def start(self):
        if self.user_options.get("wrong"):
            raise ValueError("wrong")
        return await super().start()

async def line(spawner):
    if spawner.user_options.get("wait"):
        await asyncio.sleep(60)

def options(spawner, given):
    if "bad" in given:
        raise ValueError("a profile that nobody has")
    spawner.user_options = given

c.Spawner.pre_spawn_hook = line
c.Spawner.apply_user_options = options
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.spawner_class = Spawner
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = ".+"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.JupyterHub.api_page_max_limit = 3
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [
    {{"name": "madang", "api_token": "{TOKEN}"}},
    {{"name": "nobody", "api_token": "x{TOKEN}"}},
]
c.JupyterHub.load_roles = [{{
    "name": "madang", "services": ["madang"], "scopes": [
        "list:users", "read:servers", "start:servers", "delete:servers", "admin:users",
    ],
}}]
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hub")
    port, public = free_port(), free_port()
    (folder / "config.py").write_text(CONFIG + (
        f"c.JupyterHub.hub_port = {port}\nc.JupyterHub.bind_url = 'http://127.0.0.1:{public}'\n"
    ))
    log = folder / "log"
    with log.open("w") as out:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", "config.py"], cwd=folder, stdout=out,
            stderr=out, env={k: v for k, v in os.environ.items() if "JUPYTERHUB" not in k},
        )
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/hub/api"), log)
        yield f"http://127.0.0.1:{port}/hub/api"
    finally:
        print(log.read_text()[-6000:])
        hub.terminate()
        hub.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def wait(what, log: Path | None = None) -> None:  # noqa: ANN001 - a question
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, log.read_text() if log else what
        time.sleep(0.1)


@pytest.fixture
def hub(url: str, tmp_path: Path) -> Iterator[HubApi]:
    made = HubApi(Settings(data=tmp_path), url=url, token=TOKEN)
    yield made
    for server in made.servers().values():
        made.stop_server(server.user, server.name)
    wait(lambda: not made.servers())
    made.close()


def known(hub: HubApi, name: str) -> None:
    """The hub knows the person from now on."""
    assert hub._ask("POST", "/users", json={"usernames": [name]}).status_code in {201, 409}


def test_a_server_starts_is_seen_and_stops(hub: HubApi):
    known(hub, "mina")
    assert hub.servers() == {}
    hub.start_server("mina", "", {"profile": "1g.5gb"})
    hub.start_server("mina", "", {"profile": "1g.5gb"})  # it starts already
    wait(lambda: hub.servers()["mina", ""].ready)
    assert hub.servers() == {("mina", ""): Server("mina", "", ready=True)}
    hub.start_server("mina", "", {})  # it runs already
    hub.start_server("mina", "second", {})
    wait(lambda: len(hub.servers()) == 2)
    hub.stop_server("mina", "")
    wait(lambda: ("mina", "") not in hub.servers())
    hub.stop_server("mina", "")
    hub.stop_server("mina", "no-such-server")
    hub.stop_server("nobody-at-all", "")
    assert ("mina", "second") in hub.servers()


def test_one_that_waits_in_line_is_seen_and_can_be_cancelled(hub: HubApi):
    known(hub, "mina")
    hub.start_server("mina", "", {"wait": True})
    assert hub.servers()["mina", ""] == Server("mina", "", ready=False, pending="spawn")
    hub.stop_server("mina", "")
    wait(lambda: not hub.servers())


def test_more_people_than_a_page_holds(hub: HubApi):
    names = [f"page{i}" for i in range(4)]
    for name in names:
        known(hub, name)
        hub.start_server(name, "", {"wait": True})
    assert {x for x, _ in hub.servers()} == set(names)


def test_names_that_are_not_plain(hub: HubApi):
    for name in ("민아", "a b", "100%", "x?y#z"):
        known(hub, name)
        hub.start_server(name, "", {"wait": True})
        assert (name, "") in hub.servers()
        hub.stop_server(name, "")


def test_refusals_are_told_apart(hub: HubApi, url: str, tmp_path: Path):
    with pytest.raises(NotFound):
        hub.start_server("who-is-this", "", {})
    known(hub, "mina")
    with pytest.raises(BadInput, match="nvalid"):
        hub.start_server("mina", "Not A Name!", {})
    for token in ("wrong", f"x{TOKEN}"):
        other = HubApi(Settings(data=tmp_path), url=url, token=token)
        with pytest.raises(Unavailable) as e:
            other.start_server("mina", "", {})
        assert " 403 " in e.value.detail or " 404 " in e.value.detail
        with pytest.raises(Unknown):
            other.servers()
        other.close()


def test_a_hub_that_is_away_or_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    away = HubApi(Settings(data=tmp_path), url=f"http://127.0.0.1:{free_port()}/hub/api", token="x")
    with pytest.raises(Unavailable):
        away.start_server("mina", "", {})
    with pytest.raises(Unknown):
        away.servers()
    away.close()
    monkeypatch.setattr("hub.edge.hubapi._TIMEOUT", httpx.Timeout(0.5))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        mute = HubApi(Settings(data=tmp_path), url=where, token="x")
        with pytest.raises(Unknown, match="ReadTimeout"):
            mute.start_server("mina", "", {})
        mute.close()


def test_without_a_token_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    monkeypatch.delenv("JUPYTERHUB_API_URL", raising=False)
    made = HubApi(Settings(data=tmp_path, hub_port=18999))
    assert made.url == "http://127.0.0.1:18999/hub/api"
    with pytest.raises(Unknown, match="token"):
        made.servers()
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://172.18.0.1:8081/hub/api")
    assert HubApi(Settings(data=tmp_path)).url == "http://172.18.0.1:8081/hub/api"


def test_the_token_does_not_go_to_a_proxy(hub: HubApi, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert hub.servers() == {}
