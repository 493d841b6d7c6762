"""`macaroon-cbat token list`, `token end` and `grant list`: live refresh families."""

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.hyphens import ARGUMENT_MAY_BEGIN_WITH_A_HYPHEN, HyphenCommand
from macaroon_cbat.cli.options import (
    FILE,
    client_certificate,
    json_option,
    passphrase_option,
    print_json,
    read_secret,
    say,
)
from macaroon_cbat.macaroon.issuers import plain_issuer

if TYPE_CHECKING:
    from macaroon_cbat.client.families import ListedFamily
    from macaroon_cbat.client.service import Service

_OPTIONS = (
    click.option("--issuer", required=True, metavar="URL", help="The service."),
    click.option(
        "--cacert", type=FILE, metavar="FILE", help="CA of its certificate. [default: the system's]"
    ),
    click.option("--client-id", required=True, metavar="ID", help="The name of the registered client."),
    click.option("--client-secret-file", type=FILE, metavar="FILE", help="File with its secret; - is stdin."),
    click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Client certificate, PEM."),
    click.option(
        "--key", type=FILE, metavar="FILE", help="Its private key, PEM. [default: in the same file]"
    ),
    passphrase_option,
)


def _as_a_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a client; the command takes `service` in their place."""

    @wraps(command)
    def chosen(
        *arguments: Any,
        issuer: str,
        cacert: Path | None,
        client_id: str,
        client_secret_file: Path | None,
        certificate: Path | None,
        key: Path | None,
        passphrase_file: Path | None,
        **options: Any,
    ) -> None:
        from macaroon_cbat.client import TokenClient

        client = TokenClient(
            issuer=plain_issuer(issuer, "--issuer"),
            client_id=client_id,
            client_secret=None if client_secret_file is None else read_secret(client_secret_file),
            certificate=client_certificate(certificate, key, passphrase_file),
            ca=cacert,
        )
        command(*arguments, service=client.service, **options)

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


@click.command("list", short_help="List the logins of a client: its live refresh families.")
@_as_a_client
@json_option
def list_tokens(*, service: "Service", as_json: bool) -> None:
    """List the logins of a client: its live refresh families, oldest first.

    A public client sees those that are bound to its certificate.
    """
    from macaroon_cbat.client.families import listed_families

    show_families(listed_families(service), as_json=as_json)


@click.command(
    "end",
    cls=HyphenCommand,
    context_settings=ARGUMENT_MAY_BEGIN_WITH_A_HYPHEN,
    short_help="Revoke a login of a client, and its tokens.",
)
@click.argument("family")
@_as_a_client
def end_token(family: str, *, service: "Service") -> None:
    """Revoke the refresh family FAMILY, which token list shows, and its access tokens."""
    from macaroon_cbat.client.families import end_family

    end_family(service, family)
    say(f"ended {family}")


def show_families(found: "Iterable[ListedFamily]", *, as_json: bool) -> None:
    """Print families, one a line, or all as JSON."""
    if as_json:
        print_json(list(found))
        return
    for line in _lines(found):
        say(line)


def _lines(found: "Iterable[ListedFamily]") -> Iterator[str]:
    for one in found:
        audience = one.audience if isinstance(one.audience, str) else " ".join(one.audience or ["-"])
        label = f'  "{one.label}"' if one.label else ""
        begun, used, ends = map(moment, (one.created_at, one.used_at, one.expires_at))
        yield (
            f'{one.family}  {one.client_id}  {one.subject}  "{one.scope}"  {audience}  '
            f"begun {begun}  used {used}  until {ends}{label}"
        )
