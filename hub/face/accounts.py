"""Who may log in, and how: one setting chooses the authenticator, the roster says who.

The roster is read at every login, so that somebody who was added can log in at once, and somebody
who was taken out cannot.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator, PAMAuthenticator
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from tornado import web
from traitlets.config import Config

from hub.broker import Broker
from hub.config import Settings
from hub.core.roster import Role
from hub.errors import BadInput, Text
from hub.face import keys, words

log = logging.getLogger("madang.accounts")
_OIDC_SCOPES = ["openid", "profile", "email"]
_LOGINS, _DIRECTORY = 8, 20.0  # log-ins that ask a directory at once; seconds for one


def configure(c: Config, settings: Settings, broker: Broker) -> None:
    """Set the authenticator that the settings name.

    Raises:
        BadInput: a setting that it needs is missing, or a package is.
        Unavailable: a secret or the store cannot be read.
    """
    base = _CHOICES[settings.authenticator](c, settings)
    c.JupyterHub.authenticator_class = rostered(base, broker)
    people = broker.members()
    c.Authenticator.allowed_users = {x.name for x in people}
    c.Authenticator.admin_users = {x.name for x in people if x.role is Role.OPERATOR}
    # the roster is the list; a person that the hub has in its database is not allowed by that
    c.Authenticator.allow_existing_users = False


def groups(broker: Broker) -> dict[str, dict[str, list[str]]]:
    """The roster's groups, for `c.JupyterHub.load_groups`."""
    found: dict[str, dict[str, list[str]]] = {}
    for member in broker.members():
        found.setdefault(member.group, {"users": []})["users"].append(member.name)
    return found


def rostered(base: type[Authenticator], broker: Broker) -> type[Authenticator]:
    """`base`, letting in who stands in the roster, as an administrator who is an operator there."""

    class Rostered(base):
        async def authenticate(self, handler: Any, *rest: Any, **named: Any) -> Any:
            people = await asyncio.get_running_loop().run_in_executor(None, broker.members)
            self.allowed_users = {self.normalize_username(x.name) for x in people}
            self.admin_users = {
                self.normalize_username(x.name) for x in people if x.role is Role.OPERATOR
            }
            found = await super().authenticate(handler, *rest, **named)
            if not found:
                return None
            model = found if isinstance(found, dict) else {"name": found}
            name = self.normalize_username(model["name"])
            if name not in self.allowed_users:
                raise _said(handler, 403, Text(
                    "{name} is not on Madang's list of people. Please ask the operator to add you.",
                    name=name,
                ))
            # False and not None: who is no operator any more loses the hub's own mark too
            return {**model, "admin": name in self.admin_users}

    return Rostered


def _said(handler: Any, status: int, told: Text) -> web.HTTPError:
    """An error that the hub's page tells in the reader's language."""
    text = words.text(words.choose(handler.request.headers.get("Accept-Language")), told)
    # log_message is a %-format of its own
    error = web.HTTPError(status, text.replace("%", "%%"))
    vars(error)["jupyterhub_message"] = text
    return error


def _shared_password(c: Config, settings: Settings) -> type[Authenticator]:
    keys.ensure(settings)
    c.SharedPasswordAuthenticator.user_password = keys.read(settings, "user-password")
    c.SharedPasswordAuthenticator.admin_password = keys.read(settings, "admin-password")
    return SharedPasswordAuthenticator  # type: ignore[no-any-return]


def _oidc(c: Config, settings: Settings) -> type[Authenticator]:
    _need(
        settings, "oidc_authorize_url", "oidc_token_url", "oidc_userdata_url", "oidc_client_id",
        "oidc_client_secret_file", "oidc_callback_url",
    )
    o = c.GenericOAuthenticator
    o.authorize_url = settings.oidc_authorize_url
    o.token_url = settings.oidc_token_url
    o.userdata_url = settings.oidc_userdata_url
    o.client_id = settings.oidc_client_id
    o.client_secret = _secret_file(settings.oidc_client_secret_file)
    o.oauth_callback_url = settings.oidc_callback_url
    o.username_claim = settings.oidc_username_claim
    o.scope = list(_OIDC_SCOPES)
    o.login_service = "OpenID Connect"
    return GenericOAuthenticator  # type: ignore[no-any-return]


def _pam(c: Config, _: Settings) -> type[Authenticator]:
    # the roster may name people before the directory knows them
    c.PAMAuthenticator.open_sessions = False
    return _PamWithoutAccounts


class _PamWithoutAccounts(PAMAuthenticator):
    """PAM for the password only: homes and processes are containers', not the system account's."""

    async def add_user(self, user: Any) -> None:
        await asyncio.sleep(0)
        Authenticator.add_user(self, user)


def _ldap(c: Config, settings: Settings) -> type[Authenticator]:
    _need(settings, "ldap_server", "ldap_bind_dn")
    try:
        from ldap3.core.exceptions import LDAPExceptionError
        from ldapauthenticator import LDAPAuthenticator  # an optional package
    except ImportError as e:
        raise BadInput(
            "authenticator = ldap needs a package that is not installed: pip install "
            "jupyterhub-ldapauthenticator", reason="config",
        ) from e
    c.LDAPAuthenticator.server_address = settings.ldap_server
    c.LDAPAuthenticator.bind_dn_template = list(settings.ldap_bind_dn)
    return _aside(LDAPAuthenticator, LDAPExceptionError)


def _aside(base: type[Authenticator], *faults: type[Exception]) -> type[Authenticator]:
    """`base`, in threads of its own: it asks a directory and waits in the hub's only loop for it.

    Whoever logs in waits for `_DIRECTORY` seconds; the others notice nothing.

    Args:
        faults: what it raises where the directory does not answer.
    """
    threads = ThreadPoolExecutor(_LOGINS, thread_name_prefix="madang-login")
    late: tuple[type[Exception], ...] = (TimeoutError, *faults)

    class Aside(base):
        async def authenticate(self, handler: Any, *rest: Any, **named: Any) -> Any:
            ask = super().authenticate
            asked = threads.submit(lambda: asyncio.run(ask(handler, *rest, **named)))
            try:
                return await asyncio.wait_for(asyncio.wrap_future(asked), _DIRECTORY)
            except late as e:
                log.error("the directory does not answer: %s", e or "in time")  # noqa: TRY400
                raise _said(handler, 503, Text(
                    "The directory of accounts does not answer just now. Try again in a minute; if "
                    "that does not help, tell the operator."
                )) from None

    return Aside


def _need(settings: Settings, *names: str) -> None:
    missing = [x for x in names if not getattr(settings, x)]
    if missing:
        raise BadInput(
            "authenticator = {kind} needs these settings: {names}", reason="config",
            kind=settings.authenticator, names=", ".join(missing),
        )


def _secret_file(path: Path | None) -> str:
    assert path is not None
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except OSError as e:
        raise BadInput(
            "Cannot read oidc_client_secret_file {path}: {error}", reason="config", path=path,
            error=e,
        ) from e
    if mode & 0o077:
        raise BadInput(
            "Others may read {path}: chmod 600 {path}", reason="config", path=path
        )
    return text


_CHOICES: dict[str, Callable[[Config, Settings], type[Authenticator]]] = {
    "shared-password": _shared_password,
    "oidc": _oidc,
    "pam": _pam,
    "ldap": _ldap,
}
