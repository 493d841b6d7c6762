"""The rules that join members of a client's metadata: grants, redirect URIs, keys, names and lifetimes."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.custom import check_custom_name
from macaroon_cbat.stores.client_keys import certificates_in, refuse_keys, refuse_keys_uri
from macaroon_cbat.stores.distinguished_names import INVISIBLE
from macaroon_cbat.stores.grant_types import DEVICE_CODE

PUBLIC_GRANTS = frozenset({"authorization_code", "refresh_token", DEVICE_CODE})
"""The grants of a public client: those in which a person decides, and what follows from them."""

GROUP_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z"
"""The names of groups: one word each in a condition."""
_GROUP = re.compile(GROUP_NAME)
KEY_METHODS = ("private_key_jwt", "self_signed_tls_client_auth")
"""The authentication methods that read `jwks` and `jwks_uri`."""

MOST_REDIRECT_URIS = 20
LONGEST_NAME = 100
"""Characters of a client's name at most."""
LONGEST_REFRESH = 400 * 86_400
"""Seconds of a refresh family at most."""


def refuse_repeated(what: str, values: Sequence[str]) -> None:
    """Raise ValueError for a value that is listed twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {value[:100]!r} is listed twice")


def refuse_repeated_audiences(kind: str, audiences: Sequence[str]) -> None:
    """Raise ValueError for an audience that is listed twice, in any spelling."""
    refuse_repeated(kind, [canonical_audience(audience) for audience in audiences])


def refuse_judged(names: Sequence[str]) -> None:
    """Raise ValueError for custom caveats that no resource server could judge."""
    refuse_repeated("judged caveat", names)
    for name in names:
        check_custom_name(name)


def refuse_name(name: str | None) -> None:
    """Raise ValueError for a name that a consent page could not show, or that would deceive its reader.

    Marks that turn text round or join characters are of the categories C; line ends are Z, as the space is.
    Further letters and marks print nothing: two names with one of them more or less look the same.
    """
    if name is None:
        return
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(
            f"client_name is empty, has spaces around it or more than {LONGEST_NAME} characters: correct it"
        )
    if INVISIBLE.search(name) or any(one != " " and unicodedata.category(one)[0] in "CZ" for one in name):
        raise ValueError("client_name has a character that is not shown: write letters, digits and signs")


def refuse_certificate_names(method: str, members: Iterable[str | None]) -> None:
    """Raise ValueError for names that identify no certificate, or every certificate without a name."""
    names = [name for name in members if name is not None]
    if method == "tls_client_auth" and len(names) != 1:
        raise ValueError(
            "tls_client_auth needs exactly one subject DN, SAN DNS name, SAN URI, SAN IP, SAN e-mail or "
            "SPIFFE ID"
        )
    if method != "tls_client_auth" and names:
        raise ValueError("a subject DN, SAN or SPIFFE ID goes with tls_client_auth only")
    if "" in names:
        raise ValueError("a subject DN, SAN or SPIFFE ID is empty: write the name in the certificate")


def refuse_grants(grants: Sequence[str], redirect_uris: Sequence[str], *, must_push: bool) -> None:
    """Raise ValueError for grants that do not go together, or that lack their redirect URIs."""
    refuse_repeated("grant type", grants)
    refuse_repeated("redirect URI", redirect_uris)
    if "refresh_token" in grants and not set(grants) - {"refresh_token", "client_credentials"}:
        raise ValueError(
            "refresh_token needs a grant that gives refresh tokens, which client_credentials does not: add "
            "authorization_code or another"
        )
    has_code = "authorization_code" in grants
    if has_code != bool(redirect_uris):
        raise ValueError(
            "authorization_code, and nothing else, needs redirect URIs: give both, or leave both out"
        )
    if len(redirect_uris) > MOST_REDIRECT_URIS:
        raise ValueError(f"a client has {MOST_REDIRECT_URIS} redirect URIs at most: register several clients")
    if must_push and not has_code:
        raise ValueError("require_pushed_authorization_requests goes with authorization_code: leave it out")


def refuse_groups(groups: Sequence[str]) -> None:
    """Raise ValueError for the name of a group that no caveat could ask for."""
    refuse_repeated("group", groups)
    for group in groups:
        if not _GROUP.match(group):
            raise ValueError(f"group {group[:100]!r} is no name: write up to 64 letters, digits and ._:/-")


def refuse_public(grants: Sequence[str], *, is_bound: bool) -> None:
    """Raise ValueError for a right that a client without authentication must not have."""
    if not is_bound:
        raise ValueError("a public client gets certificate-bound or DPoP-bound tokens only (RFC 8705 4)")
    if "client_credentials" in grants:
        raise ValueError("a public client cannot use client_credentials (RFC 6749 4.4): leave that grant out")
    if others := set(grants) - PUBLIC_GRANTS:
        raise ValueError(
            f"a public client cannot use {min(others)}: register authorization_code, device_code and "
            "refresh_token alone, or an authentication method"
        )


def refuse_lifetimes(idle: int | None, most: int | None, grants: Sequence[str]) -> None:
    """Raise ValueError for lifetimes of refresh tokens, in seconds, that no family could have."""
    given = [seconds for seconds in (idle, most) if seconds is not None]
    if given and "refresh_token" not in grants:
        raise ValueError("a lifetime of refresh tokens goes with the grant refresh_token: add it")
    if not all(1 <= seconds <= LONGEST_REFRESH for seconds in given):
        raise ValueError(f"a lifetime of refresh tokens is not 1 to {LONGEST_REFRESH} seconds: correct it")
    if idle is not None and most is not None and idle > most:
        raise ValueError("refresh_idle_seconds is longer than refresh_max_seconds: shorten it")


def refuse_key_sources(
    method: str, certificates: Sequence[str], jwks: Mapping[str, Any] | None, jwks_uri: str | None
) -> None:
    """Raise ValueError unless keys and certificates come from one source, which the method reads.

    A client of private_key_jwt may have none: only JWTs of a trusted issuer authenticate it then.
    """
    if jwks is not None:
        refuse_keys(jwks)
    if jwks_uri is not None:
        refuse_keys_uri(jwks_uri)
    sources = [one for one in (certificates, jwks, jwks_uri) if one]
    if len(sources) > 1:
        raise ValueError("certificates, jwks and jwks_uri exclude each other (RFC 7591 2): give one")
    if method == "self_signed_tls_client_auth":
        _refuse_without_certificate(sources, jwks)
    elif certificates:
        raise ValueError("self_signed_tls_client_auth, and nothing else, needs the client's certificate")
    elif sources and method not in KEY_METHODS:
        raise ValueError(f"jwks and jwks_uri go with {' and '.join(KEY_METHODS)} only: leave them out")


def _refuse_without_certificate(sources: Sequence[object], jwks: Mapping[str, Any] | None) -> None:
    if not sources:
        raise ValueError("self_signed_tls_client_auth, and nothing else, needs the client's certificate")
    if jwks is not None and len(certificates_in(jwks)) != len(jwks["keys"]):
        raise ValueError(
            "a key in jwks names no certificate, or that of another key: send its x5c or x5t#S256 (RFC 8705 "
            "2.2.2)"
        )
