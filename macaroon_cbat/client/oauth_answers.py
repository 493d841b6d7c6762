"""The answers of an authorization server: JSON of a known shape, or an error (RFC 6749 5)."""

import re
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from macaroon_cbat.errors import Refused
from macaroon_cbat.text.json_text import UnusableJson, read_json_text
from macaroon_cbat.text.printable import printable

Shape = TypeVar("Shape", bound=Struct)
_HOST = r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+])(?::[0-9]{1,5})?"
_SHOWN = rf"^https://{_HOST}(?:[/?][!-\[\]-~]*)?\Z"
HttpsUri = Annotated[str, Meta(pattern=_SHOWN)]
"""A URL whose host is the text before its first slash: a person may be shown it, to open it."""

_LONGEST_DESCRIPTION = 500


class _OAuthError(Struct):
    """An error answer (RFC 6749 5.2)."""

    error: Annotated[str, Meta(pattern=r"^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}\Z")]
    error_description: str = ""


def is_shown_whole(url: str) -> bool:
    """Return True for a URL that a person may be shown, as HttpsUri is."""
    return re.match(_SHOWN, url) is not None


def read_answer(status: int, body: bytes, shape: type[Shape], url: str) -> Shape:
    """Return a JSON answer of status 200, or raise Refused; unknown members are ignored (RFC 6749 5.1)."""
    try:
        if status == 200:
            return read_json_text(body, shape)
    except UnusableJson as error:
        raise Refused(status, None, f"{url} does not answer as OAuth requires: {error}") from error
    raise read_refusal(status, body, url)


def read_refusal(status: int, body: bytes, url: str) -> Refused:
    """Return the error of an answer with another status than 200."""
    try:
        refusal = read_json_text(body, _OAuthError)
    except UnusableJson as error:
        return Refused(status, None, f"{url} does not answer as OAuth requires: {error}")
    # It ends in logs and on terminals, where control characters could pretend to be more than they are.
    return Refused(status, refusal.error, printable(refusal.error_description[:_LONGEST_DESCRIPTION]))
