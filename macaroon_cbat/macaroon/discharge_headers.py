"""The macaroons of a request: the token, and the discharges that come with it in headers of their own.

The token comes in Authorization. Clients of the macaroon bakery send all of them in `Macaroons`: base64 of a
JSON array whose first macaroon is the token and whose others are its discharges. `X-Discharge-Macaroon` has
discharges alone, as text. Either header may come several times, or once with commas between.
"""

from collections.abc import Sequence

from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.bearer import Scheme, read_credentials
from macaroon_cbat.macaroon.credential_headers import DISCHARGE, MACAROONS, PROOF, CredentialHeaders
from macaroon_cbat.macaroon.json_form import text_of_json
from macaroon_cbat.macaroon.token_forms import malformed, mended
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS, MAX_DISCHARGES, read_macaroon
from macaroon_cbat.text.base64url import NotBase64url, decode
from macaroon_cbat.text.json_text import UnusableJson, read_members

MAX_HEADER_CHARACTERS = 65_536
"""Characters of all such headers of a request together; a server takes less of one header as a rule."""

_IN_WORDS = "it is no JSON array of macaroons in base64"


def presented_macaroons(
    authorization: str | tuple[str, ...] | None, headers: CredentialHeaders
) -> tuple[Scheme, str, tuple[str, ...]]:
    """Return the scheme, and the text of the token and of each discharge. Nothing is verified.

    The token may come in `Macaroons` alone, as if it were Bearer. Raises MissingToken without any,
    InvalidRequest if two headers name different tokens, and MalformedMacaroon for a header that is not
    readable, too long, or of more than 16 discharges.
    """
    named, discharges = read_discharge_headers(headers)
    scheme: Scheme = "Bearer"
    if named and authorization in (None, ()):
        token = named[0]
    else:
        scheme, token = read_credentials(authorization)
    if any(other != token for other in named):
        raise InvalidRequest(
            "Macaroons does not begin with the token that came in another header: send one token"
        )
    return scheme, token, discharges


def read_discharge_headers(headers: CredentialHeaders) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tokens that `Macaroons` headers begin with, and every discharge.

    Raises MalformedMacaroon.
    """
    if sum(len(value) for name, value in headers if name != PROOF) > MAX_HEADER_CHARACTERS:
        raise malformed(
            f"discharges of more than {MAX_HEADER_CHARACTERS} characters", "its discharges are too long"
        )
    tokens: list[str] = []
    discharges: list[str] = []
    for name, value in headers:
        pieces = [piece.strip(" \t") for piece in value.split(",", MAX_DISCHARGES + 1)]
        if name == DISCHARGE:
            discharges += pieces
        elif name == MACAROONS:
            for piece in pieces:
                token, *more = _in_array(piece)
                tokens.append(token)
                discharges += more
        if len(discharges) > MAX_DISCHARGES or len(tokens) > MAX_DISCHARGES:
            raise malformed(f"more than {MAX_DISCHARGES} discharges", "it has too many discharges")
    return tuple(tokens), tuple(discharges)


def _in_array(text: str) -> Sequence[str]:
    """Return the macaroons of one `Macaroons` value, each in its canonical spelling, the token first."""
    try:
        members = read_members(b'{"macaroons":' + decode(mended(text)) + b"}")
    except (NotBase64url, UnusableJson) as error:
        raise malformed(f"{MACAROONS}: {error}", _IN_WORDS) from error
    array = members.pop("macaroons")
    if members or not isinstance(array, list) or not array or len(array) > MAX_DISCHARGES + 1:
        raise malformed(f"{MACAROONS} has no array of 1 to {MAX_DISCHARGES + 1} macaroons", _IN_WORDS)
    return [_canonical(each) for each in array]


def _canonical(each: object) -> str:
    """Return the text of a macaroon, given as JSON or as base64 of the binary format."""
    if isinstance(each, str) and len(each) <= MAX_CHARACTERS:
        text = mended(each)
    elif isinstance(each, dict):
        try:
            text = text_of_json(each)
        except MalformedMacaroon as error:
            raise malformed(f"{MACAROONS}: {error}", _IN_WORDS) from error
    else:
        raise malformed(f"{MACAROONS} holds what is no macaroon", _IN_WORDS)
    read_macaroon(text)
    return text
