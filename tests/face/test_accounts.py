"""Logging in: each way, with the real hub; OpenID Connect with a real provider."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from traitlets.config import Config

from hub.config import Settings
from hub.core.roster import Member, Role
from hub.errors import BadInput
from hub.face import accounts
from tests.face.hubs import RunningHub, running_hub
from tests.people import Person

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """oidc-provider-mock in a process of its own; its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = tmp_path_factory.mktemp("oidc") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)], stdout=out,
            stderr=out,
        )
    url = f"http://localhost:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/.well-known/openid-configuration")
                break
            except httpx.ConnectError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def oidc_hub(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("hub")
    secret = folder / "client-secret"
    secret.write_text("top secret\n")
    secret.chmod(0o600)
    with running_hub(
        folder, "mdoidc", authenticator="oidc", oidc_client_id="madang",
        oidc_client_secret_file=str(secret), oidc_username_claim="sub",
        oidc_authorize_url=f"{provider}/oauth2/authorize",
        oidc_token_url=f"{provider}/oauth2/token", oidc_userdata_url=f"{provider}/userinfo",
        oidc_callback_url="{url}/hub/oauth_callback",
    ) as hub:
        yield hub


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub"), "mdshared") as hub:
        yield hub


def _through_the_provider(hub: RunningHub, name: str, accept: str = "en") -> Person:
    """Click “Log in with …”, say who one is at the provider, come back."""
    person = Person(hub, name, accept)
    page = person.http.get("/hub/login")
    link = re.search(r'href="(/hub/oauth_login[^"]*)"', page.text)
    assert link, page.text
    at_provider = person.http.get(link[1])
    assert "Authorize Client" in at_provider.text, at_provider.text
    person.last = person.http.post(str(at_provider.url), data={"sub": name})
    return person


def test_a_student_logs_in_with_openid_connect(oidc_hub: RunningHub) -> None:
    ana = _through_the_provider(oidc_hub, "ana")
    assert ana.last.url.path == "/hub/spawn"
    me = ana.api("GET", "/user").json()
    assert (me["name"], me["admin"], me["groups"]) == ("ana", False, ["ml"])


def test_an_operator_is_an_administrator(oidc_hub: RunningHub) -> None:
    operator = _through_the_provider(oidc_hub, "operator")
    assert operator.api("GET", "/user").json()["admin"] is True


def test_somebody_who_is_not_listed_is_told_so(oidc_hub: RunningHub) -> None:
    stranger = _through_the_provider(oidc_hub, "<i>100%s</i>")
    assert stranger.last.status_code == httpx.codes.FORBIDDEN
    assert "not on Madang" in stranger.last.text
    assert "<i>100" not in stranger.last.text
    korean = _through_the_provider(oidc_hub, "stranger", "ko-KR")
    assert "명단에 없습니다" in korean.last.text
    assert korean.http.get("/hub/home").url.path == "/hub/login"


def test_the_roster_counts_at_once(shared_hub: RunningHub) -> None:
    before = shared_hub.broker.members()
    password = shared_hub.password("ana")
    try:
        assert Person(shared_hub, "dora").log_in(password).status_code == httpx.codes.FORBIDDEN
        without_bo = tuple(x for x in before if x.name != "bo")
        assert Person(shared_hub, "bo").log_in().url.path == "/hub/spawn"
        shared_hub.broker.set_members((*without_bo, Member("dora", "ml", Role.STUDENT)))
        assert Person(shared_hub, "dora").log_in(password).url.path == "/hub/spawn"
        # in the hub's own database by now, which does not help
        assert Person(shared_hub, "bo").log_in().status_code == httpx.codes.FORBIDDEN
    finally:
        shared_hub.broker.set_members(before)


def test_who_is_no_operator_any_more_is_no_administrator(shared_hub: RunningHub) -> None:
    before = shared_hub.broker.members()
    operator = Person(shared_hub, "operator")
    operator.log_in()
    assert operator.api("GET", "/user").json()["admin"] is True
    try:
        others = tuple(x for x in before if x.name != "operator")
        demoted = Member("operator", "staff", Role.STUDENT)
        shared_hub.broker.set_members((*others, demoted))
        again = Person(shared_hub, "operator")
        again.log_in(shared_hub.password("ana"))
        assert again.api("GET", "/user").json()["admin"] is False
    finally:
        shared_hub.broker.set_members(before)


def test_a_students_password_makes_no_operator(shared_hub: RunningHub) -> None:
    student = shared_hub.password("ana")
    for name, password in (("operator", student), ("ana", "wrong"), ("ana", "")):
        answer = Person(shared_hub, name).log_in(password or " ")
        assert answer.url.path == "/hub/login"
        assert "Name or password is wrong" in answer.text


def test_passwords_are_roots_alone(shared_hub: RunningHub) -> None:
    folder = shared_hub.settings.data / "secrets"
    modes = {x.name: x.stat().st_mode & 0o777 for x in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert folder.stat().st_mode & 0o077 == 0


class _Listed:
    """A broker that only knows people."""

    def members(self) -> tuple[Member, ...]:
        return (Member("ana", "ml", Role.STUDENT), Member("op", "staff", Role.OPERATOR))


def _configured(tmp_path: Path, **values: object) -> Config:
    c = Config()
    settings = Settings(data=tmp_path, **values)  # type: ignore[arg-type]
    accounts.configure(c, settings, _Listed())  # type: ignore[arg-type]
    return c


def test_openid_connect_says_which_settings_are_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"oidc_authorize_url.*oidc_callback_url"):
        _configured(tmp_path, authenticator="oidc", oidc_client_id="x")


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    values = dict.fromkeys(
        ("oidc_authorize_url", "oidc_token_url", "oidc_userdata_url", "oidc_callback_url"), "http://x")
    oidc = {"authenticator": "oidc", "oidc_client_id": "x", "oidc_client_secret_file": secret}
    with pytest.raises(BadInput, match="chmod 600"):
        _configured(tmp_path, **oidc, **values)
    secret.unlink()
    with pytest.raises(BadInput, match="Cannot read"):
        _configured(tmp_path, **oidc, **values)


def test_pam_takes_people_without_an_account_here(tmp_path: Path) -> None:
    c = _configured(tmp_path, authenticator="pam")
    made = c.JupyterHub.authenticator_class(config=c)
    assert made.allowed_users == {"ana", "op"}
    assert made.admin_users == {"op"}


@pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # in ldap3
def test_ldap_by_one_setting(tmp_path: Path) -> None:
    ldap = {"authenticator": "ldap", "ldap_server": "ldap.example"}
    with pytest.raises(BadInput, match="ldap_bind_dn"):
        _configured(tmp_path, **ldap)
    try:
        import ldapauthenticator  # noqa: F401
    except ImportError:
        with pytest.raises(BadInput, match="jupyterhub-ldapauthenticator"):
            _configured(tmp_path, **ldap, ldap_bind_dn=("uid={username},dc=x",))
    else:
        c = _configured(tmp_path, **ldap, ldap_bind_dn=("uid={username},dc=x",))
        assert c.JupyterHub.authenticator_class(config=c).server_address == "ldap.example"
