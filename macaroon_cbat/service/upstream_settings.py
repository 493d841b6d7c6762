"""The upstream OpenID Connect provider, as the environment names it, and the sessions of its logins."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import issuer_mistake
from macaroon_cbat.service.secret_files import secret_in
from macaroon_cbat.service.variables import PREFIX, Setting, refuse_out_of_range

DEFAULT_SCOPES = "openid profile"
_SCOPES = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*\Z", re.ASCII)
_CLAIM = re.compile(r"[!-<>-~]{1,200}\Z", re.ASCII)
_ISSUER, _CLIENT = "UPSTREAM_ISSUER", "UPSTREAM_CLIENT_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The provider at which people log in. Without an issuer there are no logins of people.

    Raises SettingsError for a half-named provider and for values out of shape.
    """

    upstream_issuer: Annotated[
        str | None,
        Setting(
            meaning="issuer of the OpenID Connect provider at which people log in",
            shape="https://HOST[:PORT][/PATH][/], letter by letter as its ID tokens name it",
            default="none: people cannot log in",
        ),
    ] = None
    upstream_client_id: Annotated[
        str | None, Setting(meaning="client_id of this service at that provider", shape="a client_id")
    ] = None
    upstream_client_secret: Annotated[
        str | None,
        Setting(
            meaning="secret of this service at that provider",
            shape="a secret",
            default="none: a public client with PKCE",
        ),
    ] = field(default=None, repr=False)
    upstream_client_secret_file: Annotated[
        Path | None, Setting(meaning="file with that secret", shape="a private file")
    ] = None
    upstream_ca: Annotated[
        Path | None,
        Setting(
            meaning="PEM file of the CAs that sign the provider's certificate",
            shape="a file",
            default="the CAs of the system",
        ),
    ] = None
    upstream_scopes: Annotated[
        str, Setting(meaning="scopes to request at that provider", shape="scopes, openid among them")
    ] = DEFAULT_SCOPES
    upstream_subject: Annotated[
        str,
        Setting(
            meaning="claim of the ID token that names the subject, as user:VALUE", shape="the name of a claim"
        ),
    ] = "sub"
    upstream_allowed: Annotated[
        str | None,
        Setting(
            meaning="claim and value that the ID token of a person must have",
            shape="CLAIM=VALUE",
            default="everyone who can log in there",
        ),
    ] = None
    session_idle: Annotated[
        int,
        Setting(
            meaning="time without use after which a person must log in again",
            shape="a number of seconds from 60 to 86400",
            least=60,
            most=86_400,
        ),
    ] = 1800
    session_lifetime: Annotated[
        int,
        Setting(
            meaning="time after which a person must log in again in any case",
            shape="a number of seconds from 60 to 86400",
            least=60,
            most=86_400,
        ),
    ] = 28_800
    require_pushed_requests: Annotated[
        int,
        Setting(
            meaning="1 if every client must push its authorization request (RFC 9126)",
            shape="0 or 1",
            most=1,
        ),
    ] = 0

    def __post_init__(self) -> None:
        """Refuse what could only fail at the first login, or let the wrong people in."""
        refuse_out_of_range(self)
        self._refuse_halves()
        named = None if self.upstream_issuer is None else self.upstream_issuer.removesuffix("/")
        if named is not None and (mistake := issuer_mistake(named)):
            raise SettingsError(f"{PREFIX}{_ISSUER} {self.upstream_issuer!r} {mistake}")
        if not _SCOPES.match(self.upstream_scopes) or "openid" not in self.upstream_scopes.split(" "):
            raise SettingsError(
                f"{PREFIX}UPSTREAM_SCOPES must be scopes with a space between two, openid among them, not "
                f"{self.upstream_scopes[:60]!r}"
            )
        if not _CLAIM.match(self.upstream_subject):
            raise SettingsError(f"{PREFIX}UPSTREAM_SUBJECT must be the name of a claim, such as sub")
        if self.upstream_allowed is not None and not all(self._allowed()):
            raise SettingsError(f"{PREFIX}UPSTREAM_ALLOWED must be CLAIM=VALUE, such as hd=example.com")

    @property
    def is_on(self) -> bool:
        """True if people can log in."""
        return self.upstream_issuer is not None

    @property
    def login_rules(self) -> str:
        """The settings that say who logs in and by which name; another text for each choice of them."""
        return repr((self.upstream_issuer, self.upstream_client_id, self.upstream_subject, self.allowed))

    @property
    def must_be_pushed(self) -> bool:
        """True if every client must push its authorization request."""
        return self.require_pushed_requests == 1

    @property
    def allowed(self) -> tuple[str, str] | None:
        """The claim that a person must have, and its value; None if everyone may log in."""
        return None if self.upstream_allowed is None else self._allowed()

    def secret(self) -> str | None:
        """Return the secret, from its file if that is named. Raises SettingsError."""
        file = self.upstream_client_secret_file
        if file is None:
            return self.upstream_client_secret
        return secret_in(file, "UPSTREAM_CLIENT_SECRET_FILE", "secret of the upstream provider")

    def _allowed(self) -> tuple[str, str]:
        claim, _, value = (self.upstream_allowed or "").partition("=")
        return claim, value

    def _refuse_halves(self) -> None:
        if (self.upstream_issuer is None) != (self.upstream_client_id is None):
            missing = _ISSUER if self.upstream_issuer is None else _CLIENT
            raise SettingsError(
                f"the upstream provider is named by half: set {PREFIX}{missing} as well, or unset the other"
            )
        if self.upstream_client_secret is not None and self.upstream_client_secret_file is not None:
            raise SettingsError(
                f"{PREFIX}UPSTREAM_CLIENT_SECRET and {PREFIX}UPSTREAM_CLIENT_SECRET_FILE are both set: unset "
                "one of them"
            )


def refuse_unused(given: Mapping[str, str]) -> None:
    """Raise SettingsError for settings of an upstream provider where none is named."""
    unused = sorted(name for name in given if name.startswith("UPSTREAM_"))
    if unused and _ISSUER not in given:
        raise SettingsError(
            f"{PREFIX}{unused[0]} is set without {PREFIX}{_ISSUER}: set that too, or unset this"
        )


NO_UPSTREAM = UpstreamSettings()
