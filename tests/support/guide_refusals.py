"""The requests that the chapter `401` shows refused, and the options of `token verify` that say the same."""

import tomllib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macaroon_cbat import Forwarded, thumbprint_of, trusted_proxies
from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.verification import Principal, verify
from tests.support.forged_tokens import forged
from tests.support.tokens import (
    API,
    GRANT,
    ISSUER,
    KEYS,
    OTHER_API,
    ROOT,
    appended,
    token,
    token_revocation,
)

VECTORS = Path(__file__).parents[1] / "vectors"
PEM = tomllib.loads((VECTORS / "published-rfc8705-appendix-a.toml").read_text())["pem"]
CERTIFICATE = der_of(PEM.encode())
BOUND = confirmation(thumbprint_of(CERTIFICATE))
OTHER_PEM = tomllib.loads((VECTORS / "certificates/published-rfc9440-appendix-a.toml").read_text())["pem"]
THIEF = der_of(OTHER_PEM.encode())
ADDRESS = "192.0.2.7"

Text = Callable[[int], str | None]
"""Makes the token that a client presents at this second."""


def bound(*caveats: Any, **changes: Any) -> Text:
    """Return an honest token that is bound to CERTIFICATE, minted at the second that it is made for."""
    return lambda now: token(BOUND, *caveats, **{"iat": now, "exp": now + 600, **changes})


def later(now: int) -> str:
    return token(BOUND, Expiry(EpochSeconds(now - 3600)), iat=now - 4000, exp=now + 600)


def early(now: int) -> str:
    return token(BOUND, NotBefore(EpochSeconds(now + 3600)), iat=now, exp=now + 600)


class RevokingVerifier:
    """A verifier of a deployer's own that knows the one token of these samples to be revoked."""

    issuer, audience = ISSUER, API

    def verify(self, text: str, access: Access, *, require_certificate: bool, **_: Any) -> Principal:
        """Return the principal, or raise InvalidToken."""
        revoked = Revocations([token_revocation(GRANT.jti)])
        return verify(text, KEYS, access, require_certificate=require_certificate, revocations=revoked)


@dataclass(frozen=True)
class Refusal:
    """One request that a guard refuses, and the options by which `token verify` says the same."""

    text: Text
    asked: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] | None = ("--cert", "holder.pem")
    """None where `token verify` cannot show it."""


ROTATED = audience_key(RootKey("k2", bytes(32)), API)
ELSEWHERE = audience_key(ROOT, OTHER_API)
BEHIND = {"certificate_source": Forwarded("nginx", trust=trusted_proxies([ADDRESS]))}
SHOWN = b64encode(CERTIFICATE).decode()

REFUSALS = {
    "missing": Refusal(lambda _: None, options=None),
    "malformed": Refusal(lambda now: f"{bound()(now)}="),
    "another-audience": Refusal(lambda now: token(BOUND, key=ELSEWHERE, iat=now, aud=OTHER_API)),
    "unknown-key": Refusal(lambda now: token(BOUND, key=ROTATED, iat=now, kid="k2")),
    "signature": Refusal(lambda now: forged(str(bound()(now)))),
    "revoked": Refusal(bound(), settings={"verifier": RevokingVerifier()}, options=None),
    "expired": Refusal(later),
    "not-yet": Refusal(early),
    "no-certificate": Refusal(bound(), {"certificate": None}, options=()),
    "another-certificate": Refusal(bound(), {"certificate": THIEF}, options=("--cert", "other.pem")),
    "unbound": Refusal(lambda now: token(iat=now, exp=now + 600)),
    "aud": Refusal(bound(Audience(OTHER_API))),
    "htm": Refusal(bound(Method("POST")), options=("--cert", "holder.pem", "--method", "GET")),
    "htu": Refusal(
        bound(TargetUri(f"{API}/orders")), options=("--cert", "holder.pem", "--url", f"{API}/invoices")
    ),
    "path": Refusal(
        bound(PathPrefix("/orders")), options=("--cert", "holder.pem", "--url", f"{API}/invoices")
    ),
    "ip": Refusal(bound(ClientAddress("10.0.0.0/8")), options=("--cert", "holder.pem", "--address", ADDRESS)),
    "scope-empty": Refusal(bound(Scope("write"), Scope("read"))),
    "scope-missing": Refusal(bound(Scope("write")), options=("--cert", "holder.pem", "--scope", "read")),
    "unknown-caveat": Refusal(lambda now: appended(str(bound()(now)), b'{"color":"blue"}')),
    "discharge": Refusal(
        lambda now: add_third_party_caveat(
            str(bound()(now)), "https://login.example", b"its discharge key, 32 bytes long", "ask-it"
        )
    ),
    "two-headers": Refusal(bound(), {"headers": [("Authorization", "Bearer another")]}, options=None),
    "ambiguous": Refusal(
        bound(),
        {"headers": [("Clientcert", "a"), ("Clientcertverify", "NONE")]},
        BEHIND,
        options=None,
    ),
    "ignored": Refusal(
        bound(),
        {"certificate": None, "headers": [("Clientcert", SHOWN), ("Clientcertverify", "SUCCESS")]},
        {"certificate_source": Forwarded("nginx", trust=trusted_proxies(["10.0.0.7"]))},
        options=None,
    ),
    "proxy-silent": Refusal(bound(), settings=BEHIND, options=None),
}
