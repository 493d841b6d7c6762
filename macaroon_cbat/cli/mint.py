"""`macaroon-cbat token mint`: get a token from the service."""

from pathlib import Path

import click

from macaroon_cbat.cli.options import (
    FILE,
    client_certificate,
    json_option,
    passphrase_option,
    print_json,
    read_secret,
)
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.macaroon.wire import read_macaroon


@click.command()
@click.option("--issuer", required=True, metavar="URL", help="The service, such as https://localhost:8443.")
@click.option(
    "--cacert", type=FILE, metavar="FILE", help="CA of the service's certificate. [default: the system's]"
)
@click.option("--client-id", required=True, metavar="ID", help="The name of a registered client.")
@click.option(
    "--client-secret",
    metavar="SECRET",
    help="Its secret, which other users see in the process list: prefer --client-secret-file.",
)
@click.option("--client-secret-file", type=FILE, metavar="FILE", help="File with its secret; - is stdin.")
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="URL",
    help="The audience that the token is for. May be repeated: a token for several is introspected.",
)
@click.option(
    "--details",
    metavar="JSON",
    help="""Authorization details to ask for (RFC 9396), such as '[{"type":"payment"}]'.""",
)
@click.option("--scope", help="Scopes to ask for. [default: all that are registered]")
@click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Client certificate, PEM.")
@click.option("--key", type=FILE, metavar="FILE", help="Its private key, PEM. [default: in the same file]")
@click.option("--dpop-key", type=FILE, metavar="FILE", help="Bind the token to this DPoP key (PEM).")
@passphrase_option
@json_option
def mint(
    issuer: str,
    cacert: Path | None,
    client_id: str,
    client_secret: str | None,
    client_secret_file: Path | None,
    resources: tuple[str, ...],
    details: str | None,
    scope: str | None,
    certificate: Path | None,
    key: Path | None,
    dpop_key: Path | None,
    passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Get a token from the service (client credentials)."""
    from macaroon_cbat.client import DpopKey, TokenClient

    if client_secret_file is not None:
        client_secret = read_secret(client_secret_file)
    text = TokenClient(
        issuer=plain_issuer(issuer, "--issuer"),
        client_id=client_id,
        client_secret=client_secret,
        certificate=client_certificate(certificate, key, passphrase_file),
        key=None if dpop_key is None else DpopKey.load(dpop_key),
        ca=cacert,
        scope=scope,
        resource=resources if len(resources) > 1 else next(iter(resources), None),
        authorization_details=details,
    )()
    macaroon = read_macaroon(text)  # print nothing but a token, even if the service answers something else
    if not as_json:
        click.echo(text)
        return
    grant = read_identifier(macaroon.identifier)
    kind = "Bearer" if dpop_key is None else "DPoP"
    print_json({"access_token": text, "token_type": kind, "expires_at": grant.exp, "scope": grant.scope})
