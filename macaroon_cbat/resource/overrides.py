"""The headers by which an application may serve another path, or run another method, than the guard judges.

The proxy configurations of this package delete them (`certificate.untrusted_headers`); a guard without such a
proxy sees them. If one names another path or method than the request line, path or method is unknown, and no
caveat about it is met. A middleware before the guard may follow the header: then both name the same.
`X-Forwarded-Prefix` and its like are absent, since honest proxies send them: a middleware that follows them
writes SCRIPT_NAME or root_path, which `paths` judges.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any
from urllib.parse import unquote

_PREFIXES = {
    "X-Vhm-Root": "Pyramid's traversal, Zope, repoze.vhm",
    "X-Vhm-Host": "Zope, repoze.vhm",
    "X-Script-Name": "the ReverseProxied middleware of many Flask applications",
    "Daphne-Root-Path": "daphne",
}
_PATHS = {
    "X-Original-Url": "middlewares for IIS",
    "X-Rewrite-Url": "middlewares for IIS",
}
_METHODS = {
    "X-Http-Method-Override": "Werkzeug's recipe, WebOb's and Django's packages",
    "X-Http-Method": "OData",
    "X-Method-Override": "packages of several frameworks",
}
"""Each name, with the software that follows it."""

_LONGEST_SHOWN = 100

Overrides = tuple[tuple[str, str], ...]
"""The names, as above, and values of such headers in one request."""


def overrides_in_environ(environ: Mapping[str, Any]) -> Overrides:
    """Return such headers of a WSGI request."""
    if environ.keys().isdisjoint(_KEYS):
        return ()
    return tuple((name, environ[key]) for key, name in _KEYS.items() if key in environ)


def overrides_in_headers(names: Iterable[bytes], headers: Iterable[tuple[bytes, bytes]]) -> Overrides:
    """Return such headers of an ASGI request; `names` are those of all headers in small letters."""
    if _SPELLINGS.keys().isdisjoint(names):
        return ()
    found = ((_SPELLINGS.get(name.lower()), value) for name, value in headers)
    return tuple((name, value.decode("latin-1")) for name, value in found if name is not None)


def why_path_is_unknown(overrides: Overrides, path: str | None, root_path: str) -> str | None:
    """Return the reason for which the path is unknown, with the header that names another; or None."""
    for name, value in overrides:
        is_other = (name in _PREFIXES and value.strip().rstrip("/") != root_path) or (
            name in _PATHS and root_path + unquote(value.partition("?")[0]) != path
        )
        if is_other:
            return f"the path is unknown: {_came(name, value)}"
    return None


def why_method_is_unknown(overrides: Overrides, method: str) -> str | None:
    """Return the reason for which the method is unknown, with the header that names another; or None."""
    for name, value in overrides:
        if name in _METHODS and value.strip().upper() != method:
            return f"the method is unknown: {_came(name, value)}"
    return None


def _came(name: str, value: str) -> str:
    return (
        f"{name} came as {value[:_LONGEST_SHOWN]!r}, and an application may follow it: let the proxy delete "
        "this header"
    )


_NAMES = (*_PREFIXES, *_PATHS, *_METHODS)
_KEYS = {"HTTP_" + name.upper().replace("-", "_"): name for name in _NAMES}
_SPELLINGS = {
    "".join(one).lower().encode(): name
    for name in _NAMES
    for one in product(*(("-", "_") if character == "-" else character for character in name))
}
"""All spellings: ASGI keeps `_` and `-` apart, and adapters from ASGI to WSGI make them one."""
