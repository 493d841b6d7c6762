"""The forms of text that clients present in place of a token: named in our words, and partly mended."""

import re

from macaroon_cbat.errors import MalformedMacaroon

_HEAD = 200
_WRITE_BINARY = "this takes the binary format of version 2"
_SCHEME = re.compile(r"(authorization:\s*)?(bearer|dpop|macaroon|basic)[\s:]", re.IGNORECASE)
_QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d")
_IN_BASE64 = ("eyJ", "eyA", "ewo", "W3s", "Wy")  # {" { [{ [" and the like
_HEXADECIMAL = re.compile(r"02[0-9a-fA-F]{20,}")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_STANDARD = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z")
_PADDED = re.compile(r"[A-Za-z0-9_-]*={1,2}\Z")
_TO_URL_SAFE = str.maketrans("+/", "-_")


def malformed(reason: str, form: str) -> MalformedMacaroon:
    """Return the error: the log gets the reason, and the caller the form of what it presented."""
    error = MalformedMacaroon(f"malformed token: {form} ({reason})")
    error.told = f"{error.fixed_description}: {form}"
    return error


def form_of(text: str) -> str:
    """Return what text that is no token looks like: a sentence that quotes nothing of it."""
    head, dots = text[:_HEAD].strip(), text.count(".")
    forms = (
        (not text.strip(), "it is empty"),
        (_SCHEME.match(head), "it begins with a scheme such as Bearer: give the token alone"),
        (head.startswith(_QUOTES) or text.endswith(_QUOTES), "it is in quotes: leave them out"),
        ("-----BEGIN" in head, "it is PEM, as certificates and keys are: give the token"),
        (head.startswith(("{", "[")), _json_form(text)),
        ("..." in text or "\u2026" in text, "it is cut short by an ellipsis: copy all of it"),
        (
            len(text.split(None, 1)) > 1 or text != text.strip(),
            "it has white space or a line end in it: take that out",
        ),
        (not text.isascii(), "it has a character beyond ASCII, maybe an invisible one: copy it anew"),
        (_PERCENT.search(text), "it is percent-encoded: decode it first"),
        ("," in text, "it is a list: give one token"),
        (dots == 2, "it is a JWT: this takes macaroons"),
        (dots == 4, "it is an encrypted JWT: this takes macaroons"),
        (head.startswith("MDA"), f"it is a macaroon of version 1: {_WRITE_BINARY}"),
        (head.startswith(_IN_BASE64), f"it is JSON in base64: {_WRITE_BINARY}"),
        (_HEXADECIMAL.match(head), "it is in hexadecimal: write it in base64url"),
        (text.endswith("="), "it has padding: leave out the = at its end"),
        ("+" in text or "/" in text, "it is in the standard base64 alphabet: write - for + and _ for /"),
        (head.startswith(("AgE", "AgI")), "it is cut short or altered: copy all of it"),
    )
    return next((form for is_so, form in forms if is_so), "it is no macaroon")


def mended(text: str) -> str:
    """Return the text as unpadded base64url when it is padded or in the standard alphabet, else as it is.

    Holders may have it from another program; a verifier reads one spelling alone.
    """
    if not ("=" in text or "+" in text or "/" in text):  # nearly always
        return text
    if ("=" in text and len(text) % 4) or not (_STANDARD.match(text) or _PADDED.match(text)):
        return text
    return text.rstrip("=").translate(_TO_URL_SAFE)


def _json_form(text: str) -> str:
    if '"access_token"' in text:
        return "it is the whole answer of a token endpoint: give its access_token alone"
    if any(name in text for name in ('"v":2', '"v": 2', '"i64"', '"s64"')):
        return f"it is a macaroon in JSON of version 2: {_WRITE_BINARY}"
    return (
        f"it is a macaroon in JSON of version 1: {_WRITE_BINARY}" if '"signature"' in text else "it is JSON"
    )
