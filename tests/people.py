"""A person with a browser's cookies, speaking to the hub as its pages do."""

import re
from typing import Any

import httpx

_FIELD = re.compile(r'name="_xsrf" value="([^"]+)"')


class Person:
    """Logs in by name and password; `accept` is the browser's Accept-Language.

    `hub` is a `RunningHub` or a whole `Workspace`: it has `url`, `password(user)`, and `clients`,
    where ours is put to be closed.
    """

    def __init__(self, hub: Any, name: str, accept: str = "en") -> None:
        self.name, self._hub = name, hub
        self.last: httpx.Response | None = None
        self.http = httpx.Client(
            base_url=hub.url, follow_redirects=True, timeout=30,
            headers={"Accept-Language": accept},
        )
        hub.clients.append(self.http)

    def log_in(self, password: str = "") -> httpx.Response:
        page = self.http.get("/hub/login")
        found = _FIELD.search(page.text)
        assert found, page.text
        return self.http.post("/hub/login", data={
            "username": self.name, "password": password or self._hub.password(self.name),
            "_xsrf": found[1],
        })

    def api(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {"X-XSRFToken": self.xsrf(), "Referer": f"{self._hub.url}/hub/home"}
        return self.http.request(method, f"/hub/api{path}", headers=headers, **rest)

    def xsrf(self) -> str:
        jar = [c for c in self.http.cookies.jar if c.name == "_xsrf"]
        best = max(jar, key=lambda c: len(c.path) if "/hub/".startswith(c.path) else -1)
        return best.value or ""

    def start(self, profile: str = "", **options: object) -> httpx.Response:
        given = {"profile": profile, **options} if profile else options
        return self.api("POST", f"/users/{self.name}/server", json={"user_options": given})

    def post_form(self, **fields: str) -> httpx.Response:
        """Fill in the form as a browser does; follows to the page that comes then."""
        self.http.get("/hub/spawn")
        return self.http.post("/hub/spawn", data={"_xsrf": self.xsrf(), **fields})

    def stop(self) -> httpx.Response:
        return self.api("DELETE", f"/users/{self.name}/server")

    def server(self) -> dict[str, Any]:
        """The default server as the hub knows it; {} when there is none."""
        answer = self.api("GET", f"/users/{self.name}")
        answer.raise_for_status()
        return answer.json()["servers"].get("", {})

    def ready(self) -> bool:
        return bool(self.server().get("ready"))
