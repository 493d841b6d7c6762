"""Figures of the design: sizes, limits and lifetimes, and the floors of the package."""

import tomllib
from pathlib import Path

from guide_tables.markdown import table
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.client.children import ChildTerms, request_child
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW, LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.identifier import TOKEN_ID_BYTES, Grant
from macaroon_cbat.macaroon.keys import KEY_BYTES, RootKey, audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.wire import MAX_CAVEATS, MAX_CHARACTERS, MAX_DISCHARGES
from macaroon_cbat.service.admin.administration import SECRET_BYTES
from macaroon_cbat.service.settings import DEFAULT_LIFETIME, LONGEST_LIFETIME
from macaroon_cbat.stores.wrapping_key import WRAPPING_KEY_BYTES

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_AUDIENCE, _NOW = "https://api.example", EpochSeconds(1_767_222_000)
_GRANT = Grant(
    aud=_AUDIENCE,
    client_id="billing",
    exp=_NOW + DEFAULT_LIFETIME,
    iat=_NOW,
    jti="A" * 22,
    kid="0123456789ab",
    scope="read",
    sub="billing",
)


def figures() -> str:
    """Return sizes, limits and lifetimes, each from the constant that the code uses."""
    thumbprint = thumbprint_of(DerCertificate(b"a certificate"))
    terms = ChildTerms()
    token = mint(
        audience_key(RootKey("0123456789ab", bytes(KEY_BYTES)), _AUDIENCE), "https://as.example", _GRANT
    )
    child = request_child(token, thumbprint, terms, "GET", f"{_AUDIENCE}/invoices", now=_NOW)
    rows = {
        "root key, audience key, signature": f"{KEY_BYTES} bytes",
        "wrapping key": f"{WRAPPING_KEY_BYTES} bytes",
        "client secret": f"{SECRET_BYTES} random bytes",
        "token id (`jti`)": f"{TOKEN_ID_BYTES * 8} random bits",
        "thumbprint": f"{len(thumbprint)} characters",
        "longest token": f"{MAX_CHARACTERS:,} characters",
        "most caveats, most discharges": f"{MAX_CAVEATS}, {MAX_DISCHARGES}",
        "lifetime of a token": f"{DEFAULT_LIFETIME} seconds by default, {LONGEST_LIFETIME:,} at most",
        "lifetime of a child": f"{terms.lifetime} seconds by default, and the clock skew",
        "clock skew": f"{DEFAULT_CLOCK_SKEW} seconds by default, {LONGEST_CLOCK_SKEW} at most",
        "an ordinary token, unbound": f"{len(token)} characters",
        "its child with `cnf`, `exp` and `aud`": f"{len(child)} characters",
    }
    return table(("what", "figure"), rows.items())


def floors() -> str:
    """Return the floors of the package, the highest first, from import-linter's contract."""
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return "```text\n" + "\n".join(layers) + "\n```\n"
