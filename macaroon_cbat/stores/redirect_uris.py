"""Redirect URIs of clients: which may be registered, and which requested one is a registered one.

They are compared character by character (RFC 9700 2.1), with one exception: the port of a loopback URI is
free (RFC 8252 7.3), because an application takes any port that the system gives it.
"""

import re

from macaroon_cbat.macaroon.audiences import audience_mistake

LONGEST_REDIRECT = 2000
"""Characters of a redirect URI at most."""


def redirect_mistake(uri: str) -> str | None:
    """Return why a text may not be registered, as a predicate that says what to do; None for a redirect URI.

    `localhost` is a name that another machine may have (RFC 8252 8.3 advises against it). Many clients know
    no other, those of the Model Context Protocol among them, so it is taken as it is, its port included.
    """
    if len(uri) > LONGEST_REDIRECT:
        return f"is longer than {LONGEST_REDIRECT} characters: shorten it"
    if "#" in uri:
        return "has a fragment, which no redirect URI has (RFC 6749 3.1.2): leave it out"
    if _AMBIGUOUS.search(uri):
        return "has a backslash, a quote or a character that no URI has: percent-encode it"
    if _LOOPBACK.match(uri) or _LOCALHOST.match(uri) or uri.startswith("https://"):
        return audience_mistake(uri)
    if re.match(r"https?:", uri, re.IGNORECASE):
        return (
            "must begin with https:// in lower case; http is for http://127.0.0.1, http://[::1] and "
            "http://localhost only (RFC 8252 7.3)"
        )
    if not _PRIVATE.match(uri):
        return (
            "must be https://HOST[:PORT][/PATH], http://127.0.0.1[:PORT][/PATH] or a scheme of an "
            "application's own domain such as com.example.app:/path (RFC 8252 7.1)"
        )
    if _DOT_SEGMENT.search(uri):
        return "has a . or .. segment in its path: write the path that it stands for"
    return None


def is_redirect(registered: str, requested: str) -> bool:
    """Return True if the requested URI is the registered one (RFC 9700 2.1, RFC 8252 7.3).

    A requested URI that could not be registered is never one, whatever the database says.
    """
    if redirect_mistake(requested) is not None:
        return False
    if registered == requested:
        return True
    known, asked = _LOOPBACK.match(registered), _LOOPBACK.match(requested)
    if known is None or asked is None:
        return False
    return (known["host"], known["rest"]) == (asked["host"], asked["rest"])


def is_private(uri: str) -> bool:
    """Return True for a loopback or private-use URI, which any application of the device can take over.

    Such a redirect does not prove which client asks (RFC 8252 8.6).
    """
    return not uri.startswith("https://")


_LOOPBACK = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1])(?::[0-9]{1,5})?(?P<rest>(?:[/?].*)?)\Z", re.ASCII
)
_LOCALHOST = re.compile(r"http://localhost(?::[0-9]{1,5})?(?:[/?].*)?\Z")
_PRIVATE = re.compile(r"(?=[^:]*\.)[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/[!$-;=?-\[\]_a-z~]*\Z", re.ASCII)
_AMBIGUOUS = re.compile(r"""[^!-~]|[\\"<>^`{|}]""")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:[/?]|\Z)", re.IGNORECASE)
