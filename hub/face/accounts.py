"""Who may log in, and how: one setting chooses the authenticator, the roster says who.

The roster is read at every login, so that somebody who was added can log in at once, and somebody
who was taken out cannot.
"""

import asyncio
from collections.abc import Callable
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
from hub.errors import BadInput
from hub.face import keys, words

_OIDC_SCOPES = ["openid", "profile", "email"]


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
                raise _not_listed(handler, name)
            # False and not None: who is no operator any more loses the hub's own mark too
            return {**model, "admin": name in self.admin_users}

    return Rostered


def _not_listed(handler: Any, name: str) -> web.HTTPError:
    language = words.choose(handler.request.headers.get("Accept-Language"))
    text = words.say(
        language, "{name} is not on Madang's list of people. Please ask the operator to add you.",
        name=name,
    )
    # log_message is a %-format of its own
    error = web.HTTPError(403, text.replace("%", "%%"))
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
        from ldapauthenticator import LDAPAuthenticator  # an optional package
    except ImportError as e:
        raise BadInput(
            "authenticator = ldap needs a package that is not installed: pip install "
            "jupyterhub-ldapauthenticator", reason="config",
        ) from e
    c.LDAPAuthenticator.server_address = settings.ldap_server
    c.LDAPAuthenticator.bind_dn_template = list(settings.ldap_bind_dn)
    return LDAPAuthenticator  # type: ignore[no-any-return]


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
