"""A directory of accounts that does not answer: whoever logs in is told so, nobody else waits."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.auth import Authenticator
from tornado import web
from traitlets.config import Config

from hub.config import Settings
from hub.face import accounts

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # in ldap3
GIVEN = {"username": "kim", "password": "secret"}


def page(language: str = "en") -> Any:
    return SimpleNamespace(request=SimpleNamespace(headers={"Accept-Language": language}))


def of_ldap(tmp_path: Path, port: int) -> Authenticator:
    settings = Settings(
        data=tmp_path, authenticator="ldap", ldap_server="127.0.0.1",
        ldap_bind_dn=("uid={username},dc=x",),
    )
    c = Config()
    made = accounts._ldap(c, settings)
    c.LDAPAuthenticator.server_port = port
    return made(config=c)


@contextmanager
def silence() -> Iterator[socket.socket]:
    """A directory that takes the call and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent


async def test_one_that_takes_the_call_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_DIRECTORY", 0.5)
    with silence() as silent, pytest.raises(web.HTTPError) as told:
        await of_ldap(tmp_path, silent.getsockname()[1]).authenticate(page("ko"), GIVEN)
    assert told.value.status_code == 503
    assert "계정 디렉터리가 응답하지 않습니다" in vars(told.value)["jupyterhub_message"]


async def test_the_hubs_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    with silence() as silent:
        asked = of_ldap(tmp_path, silent.getsockname()[1])
        one = asyncio.create_task(asked.authenticate(page(), GIVEN))
        called = await asyncio.to_thread(silent.accept)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not one.done()
        called[0].close()  # the directory hangs up
        with pytest.raises(web.HTTPError):
            await one


async def test_one_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        with pytest.raises(web.HTTPError) as told:
            await of_ldap(tmp_path, taken.getsockname()[1]).authenticate(page(), GIVEN)
    assert told.value.status_code == 503
    assert "the directory does not answer" in caplog.text


async def test_what_a_directory_answers_is_passed_on() -> None:
    class Knows(Authenticator):
        async def authenticate(self, handler: Any, data: Any) -> Any:
            assert handler
            await asyncio.sleep(0)
            return data["username"] if data["password"] == GIVEN["password"] else None

    asked = accounts._aside(Knows)()
    assert await asked.authenticate(page(), GIVEN) == "kim"
    assert await asked.authenticate(page(), GIVEN | {"password": "x"}) is None
