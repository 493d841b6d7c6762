"""Unpadded base64url (RFC 4648 5, RFC 7515 2): one spelling for each sequence of bytes."""

import binascii
import re

import msgspec

PATTERN_OF_32_BYTES = r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z"
"""43 characters that spell 32 bytes, as keys and SHA-256 hashes have; the last one has no spare bit set."""

_32_BYTES = re.compile(PATTERN_OF_32_BYTES)
_WRITTEN_32_BYTES = re.compile(r"[A-Za-z0-9_-]{43}=?\Z")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_decode_string = msgspec.json.Decoder(bytes).decode  # a JSON string of base64, thrice as fast as binascii
_LAST_CHARACTERS = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""The characters that a text of another length than a multiple of 4 may end with: spare bits are zero."""
_END_OF_STRING = ('"', "", '=="', '="')
"""The padding and the quote that make a JSON string of standard base64, by the length modulo 4."""


class NotBase64url(ValueError):
    """The text is not the canonical unpadded base64url of any bytes."""


def encode(data: bytes) -> str:
    """Return the bytes as unpadded base64url."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL_SAFE).decode()


def decode(text: str) -> bytes:
    """Return the bytes that the text spells.

    Raises NotBase64url for padding, white space, a character of another alphabet, and set spare bits.
    """
    size = len(text)
    spare = size & 3
    if spare and text[-1] not in _LAST_CHARACTERS[spare]:
        raise NotBase64url("not canonical base64url: truncated or with spare bits")
    if "+" in text or "/" in text:
        raise NotBase64url("not base64url without padding")
    try:
        data = _decode_string(f'"{text.replace("-", "+").replace("_", "/")}{_END_OF_STRING[spare]}')
    except (UnicodeEncodeError, msgspec.DecodeError):
        raise NotBase64url("not base64url without padding") from None
    if len(data) != size * 3 >> 2:  # padding and JSON escapes such as \n make fewer bytes
        raise NotBase64url("not base64url without padding")
    return data


def spells_32_bytes(text: str) -> bool:
    """Return True if the text is the canonical spelling of 32 bytes."""
    return _32_BYTES.match(text) is not None


def decode_written_key(text: str) -> bytes:
    """Return the 32 bytes of a key that an operator wrote: padding is allowed, and spare bits are ignored.

    Raises NotBase64url for another length or alphabet.
    """
    if not _WRITTEN_32_BYTES.match(text):
        raise NotBase64url("not 32 bytes as base64url, 43 characters")
    return binascii.a2b_base64(text[:43].encode().translate(_TO_STANDARD) + b"=")
