"""One issuer, its keys, an honest grant, and a second writer of macaroons, for all tests.

The writer (`signed`, `spell`) shares no code with the package and takes any bytes, so that tests can
present what no honest minter would write: authentic macaroons with nonsense in them.
"""

import base64
import hmac
from typing import Any

import msgspec

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Access, Caveat, confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, identifier_text
from macaroon_cbat.macaroon.keys import AudienceKey, RootKey, audience_key, audience_keys
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.verification import Principal, verify
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon

NOW = EpochSeconds(1_767_222_000)
ISSUER = "https://as.example"
API = "https://api.example"
OTHER_API = "https://other.example"

ROOT = RootKey("k1", bytes(range(32)))
KEY = audience_key(ROOT, API)
KEYS = audience_keys(ISSUER, API, [ROOT])

CERTIFICATE = thumbprint_of(DerCertificate(b"the holder's certificate"))
OTHER_CERTIFICATE = thumbprint_of(DerCertificate(b"the thief's certificate"))
BOUND = confirmation(CERTIFICATE)

GRANT = Grant(
    aud=API,
    client_id="billing",
    exp=NOW + 600,
    iat=NOW,
    jti="AAECAwQFBgcICQoLDA0ODw",
    kid=ROOT.kid,
    scope="read write admin",
    sub="alice",
)
ACCESS = Access(
    now=NOW,
    audience=API,
    certificate=CERTIFICATE,
    method="GET",
    target=Target("https://api.example", "/invoices/7"),
    address="192.0.2.7",
)


def grant(**changes: object) -> Grant:
    return msgspec.structs.replace(GRANT, **changes)


def access(**changes: object) -> Access:
    return msgspec.structs.replace(ACCESS, **changes)


def token(*caveats: Caveat, key: AudienceKey = KEY, location: str = ISSUER, **changes: object) -> str:
    """Return an honest macaroon, minted as the service mints."""
    return mint(key, location, grant(**changes), caveats)


def judged(text: str, *, require_certificate: bool = True, **changes: object) -> Principal:
    """Verify the text for the honest access, changed as told."""
    return verify(text, KEYS, access(**changes), require_certificate=require_certificate)


def token_revocation(jti: str) -> Revocation:
    """Return the revocation of one token, which lives as long as the grant."""
    return Revocation(kind="token", value=jti, revoked_at=NOW, expires_at=GRANT.exp)


def to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def to_binary(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def packet(kind: int, content: bytes) -> bytes:
    """Return one field of the V2 format: its kind, the varint of its length, its content."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([kind]) + length + content


def optional_packet(kind: int, content: bytes | None) -> bytes:
    return b"" if content is None else packet(kind, content)


def spell(macaroon: Macaroon) -> str:
    """Return the one canonical text of a macaroon, authentic or not."""
    data = b"\2" + optional_packet(1, macaroon.location) + packet(2, macaroon.identifier) + b"\0"
    for caveat in macaroon.caveats:
        if isinstance(caveat, ThirdPartyCaveat):
            data += optional_packet(1, caveat.location)
            data += packet(2, caveat.identifier) + packet(4, caveat.vid) + b"\0"
        else:
            data += packet(2, caveat) + b"\0"
    return to_text(data + b"\0" + packet(6, macaroon.signature))


def digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def signed(
    *texts: bytes, identifier: bytes | None = None, secret: bytes = KEY.secret, location: str | None = ISSUER
) -> str:
    """Return an authentic macaroon whose caveats, and identifier, are exactly these bytes."""
    identifier = identifier_text(GRANT) if identifier is None else identifier
    signature = digest(digest(b"macaroons-key-generator", secret), identifier)
    for text in texts:
        signature = digest(signature, text)
    return spell(Macaroon(None if location is None else location.encode(), identifier, texts, signature))


def appended(parent: str, text: bytes) -> str:
    """Append any bytes as a caveat, as a holder with a macaroon library would."""
    read = read_macaroon(parent)
    caveats = (*read.caveats, text)
    return spell(Macaroon(read.location, read.identifier, caveats, digest(read.signature, text)))


class Channel:
    """The connection of waitress, as its environment shows it by one of its methods."""

    def __init__(self, host: str | None, port: int | None) -> None:
        self.addr = (host, port)

    def check_client_disconnected(self) -> bool:
        """Tell that the client is still there."""
        return False


def came_from(host: str | None, port: int | None = 4711) -> dict[str, Any]:
    """Return what waitress says of a connection from there; a Unix socket has no port."""
    method = Channel(host, port).check_client_disconnected
    return {"REMOTE_ADDR": host, "waitress.client_disconnected": method}
