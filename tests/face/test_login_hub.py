"""The service under a real JupyterHub: OAuth from login to page, tokens, and both being killed.

No proxy: the client below sends each path to the hub or to the service, as the proxy's routes do.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.config import Settings
from hub.core.roster import parse
from hub.edge.store import Store
from tests.face.running import PREFIX, until

ROOT = Path(__file__).resolve().parents[2]
GO = {"Sec-Fetch-Mode": "navigate", "Accept-Language": "en"}
PEOPLE = "name,group,role\nana,ml,student\nboss,staff,operator\n"
HOST_TOKEN = "host-token-for-this-test-only"

CONFIG = '''
import sys
from jupyterhub.proxy import Proxy
from jupyterhub.services import service
from traitlets import Integer

class Quick(service._ServiceSpawner):
    """Looks after its process every second; the hub's own does every 30, and takes no setting."""
    poll_interval = Integer(1)

service._ServiceSpawner = Quick

class NoProxy(Proxy):
    """Routes that nobody needs."""
    routes = {{}}
    should_start = False
    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}
    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
    async def get_all_routes(self):
        return self.routes

c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = "http://127.0.0.1:{front}/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"boss", "chief"}}
c.JupyterHub.services = [
    {{"name": "madang", "command": [sys.executable, "-m", "hub.face.service"], "cwd": "{root}",
      "url": "http://127.0.0.1:{service}", "oauth_no_confirm": True,
      "environment": {environment!r}}},
    {{"name": "madang-host", "api_token": "{token}"}},
    {{"name": "other", "api_token": "other-{token}"}},
]
c.JupyterHub.load_roles = [
    {{"name": "user", "scopes": ["self", "access:services!service=madang"]}},
    {{"name": "host", "scopes": ["access:services!service=madang"], "services": ["madang-host"]}},
]
'''


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


class Routed(httpx.BaseTransport):
    """What the proxy does: by the path, to the hub or to the service."""

    def __init__(self, hub: int, service: int) -> None:
        self._hub, self._service = hub, service
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        ours = request.url.path.startswith(PREFIX)
        request.url = request.url.copy_with(port=self._service if ours else self._hub)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class RealHub:
    """JupyterHub with our service, in its own process."""

    def __init__(self, folder: Path) -> None:
        self.front, self.hub, self.service = free_port(), free_port(), free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.log = folder / "hub.log"
        settings = Settings(data=folder / "data", gpus="simulated", simulated_dir=folder / "cards")
        environment = {
            "PYTHONPATH": str(ROOT), "MADANG_DATA": str(settings.data), "MADANG_TICK": "0.2",
            "MADANG_GPUS": "simulated", "MADANG_SIMULATED_DIR": str(settings.simulated_dir),
            "MADANG_DOCKER": f"unix://{folder}/no-docker.sock",
        }
        store = Store(settings.database_url)
        store.upgrade()
        store.set_members(parse(PEOPLE, "roster"))
        store.close()
        (folder / "config.py").write_text(CONFIG.format(
            front=self.front, hub=self.hub, service=self.service, folder=folder, root=ROOT,
            token=HOST_TOKEN, environment=environment,
        ))

    def start(self) -> None:
        self._starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(self._folder / "config.py")],
                cwd=self._folder, stdout=log, stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("MADANG_")},
            )
        until(self.up, "hub and service answer", timeout=90)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def up(self) -> bool:
        assert self._process
        text = self.log.read_text()
        assert self._process.poll() is None, text
        # before it says so it takes a service that dies for a reason to end itself
        return text.count("JupyterHub is now running") == self._starts and self.service_pid() > 0

    def service_pid(self) -> int:
        """The process that answers on the service's port; 0 when none does."""
        try:
            httpx.get(f"http://127.0.0.1:{self.service}{PREFIX}health", timeout=5)
        except httpx.HTTPError:
            return 0
        found = re.findall(r"Started server process \[(\d+)\]", self.log.read_text())
        return int(found[-1]) if found else 0

    def browser(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.front}", follow_redirects=True, timeout=20,
            headers=GO, transport=Routed(self.hub, self.service),
        )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHub]:
    made = RealHub(tmp_path_factory.mktemp("hub"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        print(made.log.read_text()[-8000:])


def login(browser: httpx.Client, name: str, page: str = PREFIX) -> httpx.Response:
    """Open the page as a stranger, fill in the hub's form, and land where one wanted to go."""
    form = browser.get(page)
    assert "/hub/login" in str(form.url)
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', form.text)
    assert xsrf
    return browser.post(
        str(form.url), data={"username": name, "password": "x", "_xsrf": xsrf.group(1)}
    )


def test_from_the_login_form_to_the_page_and_out_again(hub: RealHub) -> None:
    with hub.browser() as browser:
        landed = login(browser, "ana", f"{PREFIX}docs")
        assert landed.status_code == 200
        assert landed.url.path == f"{PREFIX}docs"
        page = browser.get(PREFIX)
        token = re.search(r'data-xsrf="([0-9a-f]+)"', page.text)
        assert token
        mine = {"X-Xsrftoken": token.group(1), "Sec-Fetch-Mode": "cors"}
        me = browser.get(f"{PREFIX}api/me", headers=mine).json()
        assert me == {
            "name": "ana", "kind": "user", "is_operator": False, "is_instructor": False,
            "groups": ["ml"], "instructs": [],
        }
        assert not [x for x in browser.cookies.jar if "oauth-state" in x.name]
        browser.get("/hub/logout")
        assert browser.get(f"{PREFIX}api/me", headers=mine).status_code == 401
        assert "/hub/login" in str(browser.get(PREFIX).url)


def test_an_operator_is_one_in_the_browser_and_not_in_a_notebook(hub: RealHub) -> None:
    with hub.browser() as browser:
        login(browser, "boss")
        assert browser.get(f"{PREFIX}api/me").json()["is_operator"] is True
        made = made_token(browser)
        servers = made_token(browser, [
            "users:activity!user", "access:servers!server=boss/", "access:services!service=madang",
        ])
    with hub.browser() as client:
        for token, is_operator in ((made, True), (servers, False)):
            headers = {"Authorization": f"Bearer {token}"}
            me = client.get(f"{PREFIX}api/me", headers=headers).json()
            assert (me["name"], me["is_operator"]) == ("boss", is_operator)


def made_token(browser: httpx.Client, scopes: list[str] | None = None) -> str:
    """A token of boss's, as the token page makes it; `scopes` as a server's has them."""
    xsrf = [c.value for c in browser.cookies.jar if c.name == "_xsrf" and c.path == "/hub/"]
    answer = browser.post(
        "/hub/api/users/boss/tokens", json={"scopes": scopes} if scopes else {},
        headers={"X-XSRFToken": xsrf[0] or "", "Sec-Fetch-Mode": "cors"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def test_the_hubs_mark_alone_makes_no_operator(hub: RealHub) -> None:
    """`chief` is the hub's admin, and no operator of the roster (any more)."""
    with hub.browser() as browser:
        login(browser, "chief")
        assert browser.get(f"{PREFIX}api/me").json()["is_operator"] is False


def test_a_token_for_prometheus_reads_the_numbers_and_nothing_else(hub: RealHub) -> None:
    """As the README says: an operator makes it on the hub's token page."""
    with hub.browser() as browser:
        login(browser, "boss")
        token = made_token(browser, ["read:metrics"])
    given = {"Authorization": f"Bearer {token}"}
    with hub.browser() as client:
        for path, status in (
            (f"{PREFIX}metrics", 200), ("/hub/metrics", 200), (f"{PREFIX}api/slices", 403),
            (f"{PREFIX}grafana.json", 403), ("/hub/api/users", 403),
        ):
            answer = client.get(path, headers=given)
            assert answer.status_code == status, f"{path}: {answer.text[:300]}"


@pytest.mark.parametrize(("token", "status"), [
    (HOST_TOKEN, 200), (f"other-{HOST_TOKEN}", 403), ("nonsense", 401), ("%00", 401),
])
def test_tokens_of_services(hub: RealHub, token: str, status: int) -> None:
    with hub.browser() as client:
        answer = client.get(f"{PREFIX}api/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["is_operator"] is True


def test_a_killed_service_is_started_again(hub: RealHub) -> None:
    before = hub.service_pid()
    os.kill(before, signal.SIGKILL)
    until(lambda: hub.service_pid() not in (0, before), "another service answers", timeout=90)


def test_a_killed_hub_leaves_no_orphan_and_the_next_one_is_whole(hub: RealHub) -> None:
    with hub.browser() as browser:
        login(browser, "ana")
        before = hub.service_pid()
        hub.kill()
        until(lambda: hub.service_pid() == 0, "the orphan has ended", timeout=90)
        hub.start()
        until(lambda: hub.service_pid() not in (0, before), "a new service answers", timeout=90)
        # the cookie still holds: nobody is thrown out by a restart
        assert browser.get(f"{PREFIX}api/me").json()["name"] == "ana"
