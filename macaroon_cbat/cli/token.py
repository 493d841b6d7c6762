"""`macaroon-cbat token ...`: mint, list, end, attenuate, prove, inspect, verify."""

import sys
from pathlib import Path

import click
import msgspec

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.cli.clock import warn_of_slow_clock
from macaroon_cbat.cli.families import end_token, list_tokens
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.inspection import distant_moment, inspection_lines
from macaroon_cbat.cli.login import get
from macaroon_cbat.cli.mint import mint
from macaroon_cbat.cli.options import (
    FILE,
    json_option,
    now,
    print_json,
    read_file,
    read_token,
    say,
    token_argument,
)
from macaroon_cbat.cli.prove import key_in, prove, verified
from macaroon_cbat.cli.third_parties import Requiring, discharge, third_party_options
from macaroon_cbat.cli.thumbprint import thumbprint_in
from macaroon_cbat.errors import OAuthError, SettingsError
from macaroon_cbat.macaroon.audiences import audience_setting
from macaroon_cbat.macaroon.caveats import (
    Access,
    Expiry,
    confirmation,
    key_confirmation,
    read_caveats,
)
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW, LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.custom import AnyCaveat, custom_caveat
from macaroon_cbat.macaroon.inspection import attenuation_warnings, inspected
from macaroon_cbat.macaroon.keys import read_key_file
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.verification import Principal, require_scope
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.text.printable import printable


@click.group(cls=Group)
def token() -> None:
    """Mint, list, attenuate, inspect and verify tokens. A token is read from FILE or stdin."""


for _command in (mint, prove, get, list_tokens, end_token, discharge):
    token.add_command(_command)


@token.command("attenuate", short_help="Restrict a token, without a key or a service.")
@token_argument
@click.option(
    "--cert", "certificate", type=FILE, metavar="FILE", help="Bind to this certificate (PEM or DER)."
)
@click.option("--dpop-key", type=FILE, metavar="FILE", help="Bind to this DPoP key (PEM, private).")
@click.option(
    "--expires-in",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Let the token expire after these seconds.",
)
@click.option("--scope", help='Keep only these scopes, such as "read write".')
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="URL",
    help="Good at this resource server only. May be repeated.",
)
@click.option("--method", "methods", multiple=True, help="Good for this HTTP method only. May be repeated.")
@click.option("--url", metavar="URL", help="Good for this target only, without query.")
@click.option("--path", metavar="PREFIX", help="Good for this path and below only.")
@click.option(
    "--ip", "networks", multiple=True, metavar="CIDR", help="Good from this network only. May be repeated."
)
@click.option(
    "--caveat",
    "texts",
    multiple=True,
    metavar="JSON|NAME=JSON",
    help="""Append this caveat, such as '{"nbf":1767225600}', or a custom one, such as
    payment='{"most":100}', which only a resource server that judges it accepts. May be repeated.""",
)
@third_party_options
def attenuate_command(
    token_file: Path,
    certificate: Path | None,
    dpop_key: Path | None,
    expires_in: int | None,
    scope: str | None,
    audiences: tuple[str, ...],
    methods: tuple[str, ...],
    url: str | None,
    path: str | None,
    networks: tuple[str, ...],
    texts: tuple[str, ...],
    *,
    requiring: Requiring,
    is_third: bool,
) -> None:
    """Restrict the token in FILE, by default on standard input; no key and no service is needed."""
    members = {"scope": scope, "aud": audiences, "htm": methods, "htu": url, "path": path, "ip": networks}
    try:
        caveats = [each for text in texts for each in _caveats_of(text.encode(errors="surrogateescape"))]
        caveats += [
            one
            for name, value in members.items()
            if value
            for one in read_caveats(msgspec.json.encode({name: _one_or_all(value)}))
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if certificate is not None:
        caveats.append(confirmation(thumbprint_in(certificate)))
    if dpop_key is not None:
        caveats.append(key_confirmation(key_in(dpop_key)))
    if expires_in is not None:
        caveats.append(Expiry(now() + expires_in))
    if not caveats and not is_third:
        raise click.UsageError("nothing to append: give --cert, --expires-in, --scope or another restriction")
    text = mended(read_token(token_file))
    child = requiring(attenuate(text, caveats))
    if expires_in is not None:
        warn_of_slow_clock(text, expires_in)
    for warning in attenuation_warnings(read_macaroon(text), caveats, now()):
        click.echo(f"warning: {printable(warning)}", err=True)
    click.echo(child)


def _caveats_of(text: bytes) -> tuple[AnyCaveat, ...]:
    """Return the caveats of a JSON object, which are known ones, or the custom caveat of NAME=JSON."""
    name, equals, value = text.partition(b"=")
    if equals and not text.lstrip().startswith(b"{"):
        return (custom_caveat(name.decode(errors="backslashreplace"), value),)
    return read_caveats(text)


def _one_or_all(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


@token.command(short_help="Show what a token says; nothing is verified.")
@token_argument
@json_option
def inspect(token_file: Path, *, as_json: bool) -> None:
    """Show what the token in FILE, by default on standard input, says. Nothing is verified."""
    text = mended(read_token(token_file))
    if as_json:
        print_json(inspected(read_macaroon(text), now()))
        return
    for line in inspection_lines(read_macaroon(text), now()):
        say(line)


@token.command("verify", short_help="Verify a token offline, with the keys of an audience.")
@token_argument
@click.option("--keys", required=True, type=FILE, metavar="FILE", help="What key export wrote.")
@click.option("--audience", required=True, metavar="URL", help="The resource server's audience.")
@click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Certificate of the connection.")
@click.option("--dpop-key", type=FILE, metavar="FILE", help="DPoP key of the request's proof.")
@click.option("--scope", default="", help="Scopes that the resource requires.")
@click.option("--method", help="The request's method, for htm caveats.")
@click.option("--url", metavar="URL", help="The request's target, for htu and path caveats.")
@click.option("--address", metavar="IP", help="The client's address, for ip caveats.")
@click.option("--allow-unbound", is_flag=True, help="Accept a token without a cnf caveat.")
@click.option(
    "--clock-skew",
    type=click.IntRange(0, LONGEST_CLOCK_SKEW),
    default=DEFAULT_CLOCK_SKEW,
    show_default=True,
    metavar="SECONDS",
    help="Seconds by which clocks may differ, as in the guard.",
)
@json_option
def verify_command(
    token_file: Path,
    keys: Path,
    audience: str,
    certificate: Path | None,
    dpop_key: Path | None,
    scope: str,
    method: str | None,
    url: str | None,
    address: str | None,
    clock_skew: int,
    *,
    allow_unbound: bool,
    as_json: bool,
) -> None:
    """Verify the token in FILE, by default on standard input, offline.

    Exit status: 0 accepted, 1 refused, 2 wrong usage.
    """
    ring = read_key_file(read_file(keys), str(keys))
    audience = audience_setting(audience, "--audience")
    if ring.audience != audience:
        raise SettingsError(
            f"{keys} is for audience {ring.audience}, not {audience}: give that --audience, or its keys"
        )
    try:
        target = None if url is None else parse_target(url)
    except ValueError as error:
        raise click.UsageError(f"--url: {error}") from error
    if address is not None and plain_address(address) is None:
        raise click.UsageError(f"--address {address!r} is no IP address: write one such as 192.0.2.7")
    access = Access(
        now=now(),
        clock_skew=clock_skew,
        audience=audience,
        certificate=None if certificate is None else thumbprint_in(certificate),
        method=method,
        target=target,
        address=address,
        proof_key=None if dpop_key is None else key_in(dpop_key),
    )
    try:
        principal = verified(read_token(token_file), ring, access, allow_unbound=allow_unbound)
        require_scope(principal, scope)
    except OAuthError as error:
        _say_refused(error, as_json=as_json)
        sys.exit(1)
    _say_accepted(principal, as_json=as_json)


def _say_refused(error: OAuthError, *, as_json: bool) -> None:
    if as_json:
        print_json({"accepted": False, "error": error.code, "reason": str(error)})
    else:
        say(f"refused: {error.code}: {error}")


def _say_accepted(principal: Principal, *, as_json: bool) -> None:
    members = msgspec.structs.asdict(principal) | {"scope": " ".join(sorted(principal.scope))}
    members["custom"] = [{one.name: one.value} for one in principal.custom] or None
    if as_json:
        print_json({"accepted": True, "principal": members})
        return
    say(f"accepted: {principal.client_id}")
    moments = {name: distant_moment(members[name], now()) for name in ("issued_at", "expires_at")}
    for name, value in (members | moments).items():
        say(f"  {name:<14}{'-' if value is None else value}")
