"""The target of a request: its origin and path, normalized (RFC 3986 6.2.2), and plain paths."""

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct


class Target(Struct, frozen=True):
    """The origin of a request, and its path."""

    origin: str
    """Scheme, host and port in lower case, without a default port: `https://api.example`."""
    path: str
    """The path as the application routes it: percent-decoded once, never empty."""

    def __str__(self) -> str:
        """Return both as one, for the log: the path is decoded, so this is no URI."""
        return self.origin + self.path


def parse_target(uri: str) -> Target:
    """Return the target of an absolute http(s) URI, normalized as RFC 3986 6.2.2 and 6.2.3 say.

    Raises ValueError for a query, a fragment, a user or anything else that is not origin and path.
    """
    parts = urlsplit(uri)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not uri.isascii() or "@" in parts.netloc:
        raise ValueError("htu must be an absolute http or https URI without a user")
    if "?" in uri or "#" in uri or not _VISIBLE.match(uri):
        raise ValueError("htu must have no query, no fragment and no white space")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return Target(origin=f"{parts.scheme}://{host}{port}", path=unquote(parts.path or "/", errors="strict"))


def is_plain_path(path: str) -> bool:
    """Return True if no server downstream could read another path into this percent-decoded one.

    Some servers decode once more what is still percent-encoded, even with a percent sign or digits of another
    script.
    """
    return _PLAIN_PATH.match(path) is not None


_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE = re.compile(r"^[!-~]+\Z")
_PLAIN_PATH = re.compile(
    r"""^/ (?: (?! \.\.? (?:;[^/]*)? (?:/|\Z))              # no . or .. segment, with a parameter or not
               (?: [^/\\\0%\uff05\ufe6a]                    # no backslash
                 | [%\uff05\ufe6a] (?! [u\uff55] | [\da-f\uff21-\uff26]{2} ) )+  # nothing encoded twice
               (?:/|\Z) )*
        \Z""",
    re.VERBOSE | re.IGNORECASE,
)
