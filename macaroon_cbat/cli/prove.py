"""`macaroon-cbat token prove`, and the option of a DPoP key."""

from pathlib import Path

import click

from macaroon_cbat.cli.options import FILE, read_token, say, token_argument
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.keys import AudienceKeys
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.verification import Principal, require_key, verify
from macaroon_cbat.macaroon.wire import read_macaroon


def key_in(file: Path) -> KeyThumbprint:
    """Return the thumbprint of the DPoP key in a PEM file, or raise SettingsError."""
    from macaroon_cbat.client.dpop_key import DpopKey

    return DpopKey.load(file).thumbprint


def verified(text: str, ring: AudienceKeys, access: Access, *, allow_unbound: bool) -> Principal:
    """Return the principal of a token that must be bound to the proof's key, else to a certificate."""
    if access.proof_key is None:
        return verify(text, ring, access, require_certificate=not allow_unbound)
    principal = verify(text, ring, access, require_certificate=False)
    require_key(principal)
    return principal


@click.command(short_help="Prove one request by a DPoP key.")
@token_argument
@click.option("--dpop-key", "key", required=True, type=FILE, metavar="FILE", help="The private key, PEM.")
@click.option("--url", required=True, metavar="URL", help="The request's target.")
@click.option("--method", default="GET", show_default=True, help="The request's method.")
@click.option("--nonce", help="What the server told as DPoP-Nonce.")
def prove(token_file: Path, key: Path, url: str, method: str, nonce: str | None) -> None:
    """Print the headers of one request with the token in FILE, for curl -H @-; they are good once."""
    from macaroon_cbat.client.dpop_key import DpopKey

    text = mended(read_token(token_file))
    read_macaroon(text)
    try:
        parse_target(url.partition("#")[0].partition("?")[0])
    except ValueError as error:
        raise click.UsageError(f"--url: {error}") from error
    say(f"Authorization: DPoP {text}")
    say(f"DPoP: {DpopKey.load(key).proof(method, url, token=text, nonce=nonce)}")
