"""The shapes of the discharge service: forms and answers of the macaroon bakery's protocol."""

from typing import Any

from msgspec import Struct, field

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.errors.discharges import UnreadableCaveat
from macaroon_cbat.macaroon.sealed_caveats import LONGEST_CAVEAT
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.text.base64url import NotBase64url, decode

APPROVE_PATH = "/discharge/approve"
WAIT_PATH = "/discharge/wait"
TOKEN_KIND = "approval"  # a name
_LONGEST_SECRET = 128
_TO_URL_SAFE = str.maketrans("+/", "-_")


class DischargeForm(Struct, frozen=True):
    """A request for a discharge. The caveat is `caveat64`, or the identifier itself.

    `id64`, `caveat64` and `token64` are base64. A client that is to be known authenticates, too.
    """

    id: str | None = None
    id64: str | None = None
    caveat64: str | None = None
    token: str | None = None
    token64: str | None = None
    token_kind: str | None = field(default=None, name="token-kind")
    client_id: str | None = None
    client_secret: str | None = None


class DischargeAnswer(Struct, frozen=True):
    """A discharge in JSON of version 2; for a caveat of form 3 in the bakery's own object around it."""

    macaroon: dict[str, Any] = field(name="Macaroon")


class DischargeInfo(Struct, frozen=True):
    """The public key to which caveats are encrypted, in standard base64, and the newest form that is read."""

    public_key: str = field(name="PublicKey")
    version: int = field(name="Version")


class PublicKeyAnswer(Struct, frozen=True):
    """The public key to which caveats are encrypted, in standard base64."""

    public_key: str = field(name="PublicKey")


class WaitAnswer(Struct, frozen=True):
    """The token by which a client redeems an approval, in base64."""

    kind: str
    token64: str


class Wanted(Struct, frozen=True):
    """The discharge that a client requests: identifier and encrypted caveat, the secret of an approval."""

    identifier: bytes
    caveat: bytes
    secret: str | None

    def __repr__(self) -> str:
        """Show no secret."""
        return "<Wanted>"


def wanted_by(form: DischargeForm) -> Wanted:
    """Return what a form asks for.

    Raises InvalidRequest for a form that says it twice or not at all, and UnreadableCaveat for bytes that no
    caveat has.
    """
    identifier = _one(form.id, form.id64, "id")
    if not identifier:
        raise InvalidRequest("the parameter id is missing: send id or id64, the identifier of the caveat")
    caveat = identifier if form.caveat64 is None else _decoded(form.caveat64)
    if max(len(identifier), len(caveat)) > LONGEST_CAVEAT:
        raise UnreadableCaveat(f"the caveat is longer than {LONGEST_CAVEAT} bytes")
    token = _one(form.token, form.token64, "token")
    if token is None:
        return Wanted(identifier, caveat, None)
    if form.token_kind != TOKEN_KIND or len(token) > _LONGEST_SECRET:
        raise InvalidRequest(f"the token is of another kind: send token-kind {TOKEN_KIND}, and its token")
    return Wanted(identifier, caveat, token.decode(errors="replace"))


def _one(plain: str | None, encoded: str | None, name: str) -> bytes | None:
    if plain is not None and encoded is not None:
        raise InvalidRequest(f"the request has both {name} and {name}64: send one")
    if encoded is not None:
        return _decoded(encoded)
    return None if plain is None else plain.encode()


def _decoded(text: str) -> bytes:
    try:
        return decode(mended(text))
    except NotBase64url as error:
        raise UnreadableCaveat("a parameter is not base64") from error
