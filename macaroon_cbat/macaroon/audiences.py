"""Audiences: the spellings of a resource indicator (RFC 8707 2) that name the same resource server.

An http or https URL is compared as RFC 3986 6.2.2 and 6.2.3 say: the case of scheme and host, a default or
empty port, needless percent-encoding and an empty path in place of `/` make no difference. Everything else
does: another path, a slash at its end, a query, another port. Text that a server could read as another URL
(a user, dot segments, empty segments, a backslash) is never normalized and equals itself alone.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.text.short_memory import remembering

_DEFAULT_PORTS = {"http": "80", "https": "443"}


@remembering(1024)
def canonical_audience(text: str) -> str:
    """Return the canonical spelling of an audience, or other text than a plain http or https URL as it is.

    A URL without path and query has no slash at its end, as issuers have none.
    """
    parts = _URL.match(text)
    if parts is None or _mistake(parts) is not None:
        return text
    scheme, host = parts["scheme"].lower(), parts["host"].lower()
    port = parts["port"] or _DEFAULT_PORTS[scheme]
    shown = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    path, query = _plain_encoding(parts["path"] or "/"), _plain_encoding(parts["query"] or "")
    return f"{scheme}://{host}{shown}{'' if path == '/' and not query else path}{query}"


def is_same_audience(one: str, other: str) -> bool:
    """Return True if two texts name the same audience."""
    return one == other or canonical_audience(one) == canonical_audience(other)


def is_among(audience: str, named: Collection[str]) -> bool:
    """Return True if an audience is one of these, in any spelling."""
    return audience in named or canonical_audience(audience) in map(canonical_audience, named)


def checked_audience(text: str, what: str = "audience") -> str:
    """Return the canonical spelling of a resource indicator. Raises ValueError, which says what is wrong."""
    if mistake := audience_mistake(text):
        raise ValueError(f"{what} {text!r} {mistake}")
    return canonical_audience(text)


def audience_setting(text: str, what: str = "audience") -> str:
    """Return the canonical spelling of an audience that an operator set. Raises SettingsError."""
    try:
        return checked_audience(text, what)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def audience_mistake(text: str) -> str | None:
    """Return why a text is no resource indicator, as a predicate that says what to do; None for one."""
    if re.search(r"[^!-~]", text):
        return f"must be an absolute URI of visible ASCII: {_in_ascii(text)}"
    if not _ABSOLUTE.match(text):
        return (
            "must be an absolute URI without a fragment (RFC 8707 2): write it as https://HOST[:PORT][/PATH]"
        )
    if not _IS_HTTP.match(text):
        return None
    parts = _URL.match(text)
    if parts is None:
        return "must be https://HOST[:PORT][/PATH], the host being a name or an address, without a user"
    return _mistake(parts)


def _mistake(parts: re.Match[str]) -> str | None:
    """Return why servers could read a URL in more than one way, or None."""
    path, port = _plain_encoding(parts["path"] or "/"), parts["port"]
    if port and (port.startswith("0") or len(port) > 5 or int(port) >= 1 << 16):
        return f"has no port from 1 to 65535: correct :{port[:20]}"
    if _STRAY_PERCENT.search(parts[0]):
        return "has a % without two hexadecimal digits: write %25 for the sign itself"
    if "\\" in parts[0]:
        return "has a backslash, which browsers take for a slash: write / or %5C"
    if _DOT_SEGMENT.search(path):
        return "has a . or .. segment in its path: write the path that it stands for"
    if "//" in path:
        return "has an empty segment in its path, which servers read differently: leave one slash out"
    if not _is_text(path):
        return "has a path that is not UTF-8 text without controls: correct its percent-encoding"
    return None


def _plain_encoding(text: str) -> str:
    """Return the text percent-encoded where it must be, in capitals, and nowhere else (RFC 3986 6.2.2)."""
    return _ENCODED.sub(_plain, _NEVER_PLAIN.sub(lambda found: f"%{ord(found[0]):02X}", text))


def _plain(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.match(character) else found[0].upper()


def _is_text(path: str) -> bool:
    try:
        return _CONTROL.search(unquote_to_bytes(path).decode()) is None
    except UnicodeDecodeError:
        return False


def _in_ascii(text: str) -> str:
    """Return how to write a URL in ASCII, with an example where the host has one sure form."""
    host = re.match(r"[A-Za-z]+://([^/?#:@\s]+)", text)
    if host is None or host[1].isascii():
        return "percent-encode what is not"
    return f"write the host in its ASCII form{ascii_host_example(host[1])}"


def ascii_host_example(host: str) -> str:
    """Return `, such as xn--...` for a name of other scripts; empty where no form of it is sure."""
    try:
        encoded = host.encode("idna").decode()
        is_sure = encoded.encode().decode("idna") == host.lower()
    except UnicodeError:
        return ""
    return f", {encoded}" if is_sure else ""


_URL = re.compile(
    r"""(?P<scheme>https?):// (?P<host>[a-z0-9._~-]+ | \[[0-9a-f:.]+]) (?: : (?P<port>[0-9]*))?
        (?P<path>/[!"$-.0->@-~/]*)? (?P<query>\?[!"$-~]*)? \Z""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#]+\Z")
_IS_HTTP = re.compile(r"https?:", re.IGNORECASE)
_NEVER_PLAIN = re.compile(r'["<>^`{|}]')
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
