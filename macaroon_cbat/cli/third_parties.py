"""Third-party caveats on the command line: `token attenuate --discharge-by`, and `token discharge`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.options import FILE, read_token, token_argument
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.secret import read_secret_file
from macaroon_cbat.client.third_parties import discharger_key, read_discharger_key, require_discharge
from macaroon_cbat.macaroon.minting import bind_discharge
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.text.printable import printable

Requiring = Callable[[str], str]
"""Returns a child of a token that needs a discharge, or the token itself where none is wanted."""


def third_party_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of one third-party caveat; the command gets `requiring` and `is_third`."""

    @click.option(
        "--discharge-by", "location", metavar="URL", help="Of use only with a discharge of this discharger."
    )
    @click.option(
        "--condition", metavar="TEXT", help="What the discharger checks, such as 'is-member-of accountants'."
    )
    @click.option(
        "--discharger-key", "key", metavar="BASE64", help="Its public key.  [default: as it shows it]"
    )
    @click.option("--discharger-ca", "ca", type=FILE, metavar="FILE", help="CA of the discharger, as PEM.")
    @wraps(command)
    def with_third_party(
        *arguments: Any,
        location: str | None,
        condition: str | None,
        key: str | None,
        ca: Path | None,
        **options: Any,
    ) -> Any:
        if (location is None) != (condition is None) or (location is None and (key or ca)):
            raise click.UsageError("--discharge-by and --condition go together: give both, or leave both out")

        def requiring(token: str) -> str:
            if location is None or condition is None:
                return token
            public_key = discharger_key(location, ca=ca) if key is None else read_discharger_key(key)
            try:
                return require_discharge(token, location, condition, public_key)
            except ValueError as error:
                raise click.UsageError(f"--condition: {error}") from error

        return command(*arguments, requiring=requiring, is_third=location is not None, **options)

    return with_third_party


@click.command("discharge", short_help="Collect the discharges that a token needs, bound to it.")
@token_argument
@click.option(
    "--from",
    "locations",
    multiple=True,
    required=True,
    metavar="URL",
    help="A discharger that is trusted; no other is asked. May be repeated.",
)
@click.option("--client-id", metavar="NAME", help="Name of the caller, where a discharger is to know it.")
@click.option("--secret-file", type=FILE, metavar="FILE", help="File of its secret.")
@click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Its certificate, as PEM.")
@click.option("--key", type=FILE, metavar="FILE", help="Key of the certificate.  [default: in its file]")
@click.option("--ca", type=FILE, metavar="FILE", help="CA of the dischargers, as PEM.")
def discharge(
    token_file: Path,
    locations: tuple[str, ...],
    client_id: str | None,
    secret_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    ca: Path | None,
) -> None:
    """Print the value of X-Discharge-Macaroon for the token in FILE, by default on standard input.

    The discharges are bound to this very token: bind it to the certificate first. Where a person has to
    decide, the URL of the page is written to standard error.
    """
    text = mended(read_token(token_file))
    client = DischargeClient(
        locations,
        client_id=client_id,
        client_secret=None if secret_file is None else read_secret_file(secret_file),
        certificate=None if certificate is None else ClientCertificate(certificate, key),
        ca=ca,
        visit=lambda url: click.echo(f"open in a browser: {printable(url)}", err=True),
    )
    click.echo(",".join(bind_discharge(text, one) for one in client.collect(text)))
