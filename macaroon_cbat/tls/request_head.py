"""The header of one HTTP/1.1 request, read strictly. Pure.

RFC 9112 lets a recipient repair much. An attacker lives on two recipients that repair differently, so what
could be understood in two ways is refused.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_FIELDS = 128
MAX_TARGET_BYTES = 8192
"""RFC 9112 3: at least 8,000 octets for a request line."""

_REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,31}) ([!-~]+) HTTP/(1\.[01])")
_OTHER_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/(?!1\.[01])[0-9]\.[0-9]")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}):([\t -~\x80-\xff]*)")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ABSOLUTE = re.compile(rb"(?i:https)://([^/?#@\\]+)(/[^#]*)")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]{1,15}")

_UNSUPPORTED = frozenset({"CONNECT", "TRACE"})
_FRAMING = frozenset({"CONTENT_LENGTH", "TRANSFER_ENCODING", "HOST"})


class UnusableRequest(Exception):
    """A request that gets this status, and after which nothing on the connection can be understood."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class RequestHead(NamedTuple):
    """The header of a request: field names in upper case with underscores, values of one name joined.

    `length` is that of the body in bytes, None for a chunked one. `target` is in origin-form or `*`.
    """

    method: str
    target: str
    version: str
    fields: dict[str, str]
    length: int | None

    @property
    def path(self) -> str:
        """Return the path, percent-decoded as WSGI wants it: each character is one byte."""
        return unquote_to_bytes(self.target.partition("?")[0]).decode("latin-1")

    @property
    def query(self) -> str:
        """Return the query, as it came."""
        return self.target.partition("?")[2]


def has_bare_line_feed(data: bytes | bytearray, since: int) -> bool:
    """Return True if a line ends without CR from there on: nothing that follows can make it a request."""
    at = data.find(b"\n", since)
    while at >= 0:
        if at == 0 or data[at - 1] != 0x0D:
            return True
        at = data.find(b"\n", at + 1)
    return False


def read_head(block: bytes) -> RequestHead:
    """Return the header that the text spells, without the blank line at its end, or raise UnusableRequest."""
    if _BARE.search(block):
        raise UnusableRequest(400)
    first, *lines = block.split(b"\r\n")
    method, target, version = _request_line(first)
    fields = _fields(lines)
    host = _host(fields, version)
    return RequestHead(method, _origin_form(method, target, host), version, fields, _length(fields, version))


def _request_line(line: bytes) -> tuple[str, bytes, str]:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise UnusableRequest(505 if _OTHER_VERSION.fullmatch(line) else 400)
    method, target, version = found.groups()
    if len(target) > MAX_TARGET_BYTES:
        raise UnusableRequest(414)
    name = method.decode("ascii")
    if name in _UNSUPPORTED:
        raise UnusableRequest(501)
    return name, target, version.decode("ascii")


def _fields(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_FIELDS:
        raise UnusableRequest(431)
    fields: dict[str, str] = {}
    for line in lines:
        # A line that begins with white space, the obsolete folding, matches no field either.
        found = _FIELD.fullmatch(line)
        if found is None:
            raise UnusableRequest(400)
        name = _key(found[1])
        if b"_" in found[1]:
            # Such a name would merge with the one spelled with hyphens: the field is dropped.
            if name in _FRAMING:
                raise UnusableRequest(400)
            continue
        value = found[2].strip(b" \t").decode("latin-1")
        if name in fields:
            if name in _FRAMING:
                raise UnusableRequest(400)
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields


@lru_cache(maxsize=512)
def _key(name: bytes) -> str:
    return name.decode("ascii").upper().replace("-", "_")


def _host(fields: dict[str, str], version: str) -> str | None:
    """Return the Host of the request (RFC 9112 3.2), which only HTTP/1.0 may leave out."""
    host = fields.get("HOST")
    if host is None and version == "1.0":
        return None
    if host is None or not _HOST.fullmatch(host):
        raise UnusableRequest(400)
    return host


def _origin_form(method: str, target: bytes, host: str | None) -> str:
    """Return the target without scheme and authority, which must be this request's own (RFC 9112 3.2.2)."""
    text = target.decode("ascii")
    if text.startswith("/") and "#" not in text:
        return text
    if text == "*" and method == "OPTIONS":
        return text
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or host is None or absolute[1].decode("ascii").lower() != host.lower():
        raise UnusableRequest(400)
    return absolute[2].decode("ascii")


def _length(fields: dict[str, str], version: str) -> int | None:
    """Return the length of the body in bytes, or None for a chunked one (RFC 9112 6.1 to 6.3)."""
    coding, length = fields.get("TRANSFER_ENCODING"), fields.get("CONTENT_LENGTH")
    if coding is not None:
        if version != "1.1" or length is not None:
            raise UnusableRequest(400)
        codings = [name.strip(" \t").lower() for name in coding.split(",")]
        if codings.count("chunked") != 1 or codings[-1] != "chunked" or not all(codings):
            raise UnusableRequest(400)
        if len(codings) > 1:
            raise UnusableRequest(501)
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise UnusableRequest(400)
    return int(length)
