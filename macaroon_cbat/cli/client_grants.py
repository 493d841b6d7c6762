"""Options of `client add` and `client update` about grants: redirect URIs, keys, names and lifetimes."""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.client_lines import REPEATED
from macaroon_cbat.cli.options import FILE, read_file
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.client_keys import MOST_BYTES

_URN = "urn:ietf:params:oauth:grant-type:"
GRANTS = {
    **{name: name for name in ("client_credentials", "authorization_code", "refresh_token")},
    **{name: _URN + name for name in ("device_code", "jwt-bearer", "token-exchange")},
}
"""Grant types by the names that an operator types."""

_OPTIONS = (
    click.option(
        "--grant",
        "grants",
        multiple=True,
        type=click.Choice(list(GRANTS)),
        help=f"A grant that it may use. {REPEATED} [default: client_credentials; none with --auth none]",
    ),
    click.option(
        "--redirect-uri",
        "redirect_uris",
        multiple=True,
        metavar="URI",
        help=f"Where a browser returns with a code, for authorization_code. {REPEATED}",
    ),
    click.option("--name", "client_name", metavar="TEXT", help="Its name on the page that asks for consent."),
    click.option(
        "--details-type",
        "details_types",
        multiple=True,
        metavar="TYPE",
        help=f"A type of authorization details that it may request (RFC 9396). {REPEATED}",
    ),
    click.option(
        "--may-act",
        multiple=True,
        metavar="ID",
        help="A client that may exchange its tokens, and acts for its users then (RFC 8693); with its own "
        f"name, it takes them to all its audiences. {REPEATED}",
    ),
    click.option("--no-may-act", is_flag=True, help="No other client may exchange its tokens."),
    click.option(
        "--par/--no-par", default=None, help="Whether it must push authorization requests (RFC 9126)."
    ),
    click.option(
        "--dpop/--no-dpop", default=None, help="Whether its tokens are bound to a DPoP key (RFC 9449)."
    ),
    click.option(
        "--checks-proofs/--ignores-proofs",
        default=None,
        help="Whether it verifies DPoP proofs by cnf, as a resource server (RFC 9449 7).",
    ),
    click.option(
        "--jwks",
        type=FILE,
        metavar="FILE",
        help="Its public keys, a JWK Set, for private_key_jwt or certificates.",
    ),
    click.option("--jwks-uri", metavar="URL", help="URL at which it publishes these keys."),
    click.option(
        "--refresh-idle",
        type=click.IntRange(1),
        metavar="SECONDS",
        help="Its refresh tokens expire unused after.",
    ),
    click.option(
        "--refresh-max", type=click.IntRange(1), metavar="SECONDS", help="Its refresh tokens expire after."
    ),
)


_MEMBERS = {
    "redirect_uris": "redirect_uris",
    "client_name": "client_name",
    "details_types": "authorization_details_types",
    "par": "require_pushed_authorization_requests",
    "dpop": "dpop_bound_access_tokens",
    "checks_proofs": "checks_proofs",
    "jwks_uri": "jwks_uri",
    "refresh_idle": "refresh_idle_seconds",
    "refresh_max": "refresh_max_seconds",
}
"""The member of the metadata for each option that needs no further reading."""


def grants_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command takes `granted`, the members of the metadata that they name."""

    @wraps(command)
    def chosen(*arguments: Any, grants: tuple[str, ...], jwks: Path | None, **options: Any) -> None:
        members = {member: options.pop(name) for name, member in _MEMBERS.items()}
        members["redirect_uris"] = members["redirect_uris"] or None
        members["may_act"] = _actors(options.pop("may_act"), is_none=options.pop("no_may_act"))
        members["authorization_details_types"] = members["authorization_details_types"] or None
        members["grant_types"] = tuple(GRANTS[one] for one in grants) or None
        members["jwks"] = None if jwks is None else _key_set_in(jwks)
        command(*arguments, granted=_named(members), **options)

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


def _actors(names: tuple[str, ...], *, is_none: bool) -> tuple[str, ...] | None:
    """Return the clients that may act, or None for no change. Raises UsageError."""
    if names and is_none:
        raise click.UsageError("--may-act and --no-may-act contradict each other: give one of them")
    return names if names or is_none else None


def _named(members: dict[str, object]) -> dict[str, object]:
    return {member: value for member, value in members.items() if value is not None}


def _key_set_in(file: Path) -> object:
    """Return the JWK Set in a file, unchecked, or raise SettingsError if it is no JSON."""
    try:
        return json.loads(read_file(file, MOST_BYTES + 1))
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"{file} is no JWK Set of {MOST_BYTES:,} bytes at most: name a JSON file"
        ) from error
