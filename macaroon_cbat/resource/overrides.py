"""Headers by which an application behind a guard serves another path, or runs another method, than asked.

A proxy of ours deletes them (`proxy_config.untrusted_headers`); a guard without one sees them. Where such a
header says something else than what is judged, the path or the method is unknown, and no caveat about it is
met. A middleware before the guard may follow the header: then both say the same. `X-Forwarded-Prefix` and its
like are not here: honest proxies send them, and what a middleware before the guard makes of them stands in
SCRIPT_NAME or root_path (`paths.py`).
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
"""Each name, and who believes it."""

_LONGEST_SHOWN = 100

Overrides = tuple[tuple[str, str], ...]
"""Names, as they stand above, and values of such headers that came."""


def overrides_in_environ(environ: Mapping[str, Any]) -> Overrides:
    """Return what came with a WSGI request."""
    if environ.keys().isdisjoint(_KEYS):
        return ()
    return tuple((name, environ[key]) for key, name in _KEYS.items() if key in environ)


def overrides_in_headers(names: Iterable[bytes], headers: Iterable[tuple[bytes, bytes]]) -> Overrides:
    """Return what came with an ASGI request; `names` are those of the headers in small letters."""
    if _SPELLINGS.keys().isdisjoint(names):
        return ()
    found = ((_SPELLINGS.get(name.lower()), value) for name, value in headers)
    return tuple((name, value.decode("latin-1")) for name, value in found if name is not None)


def why_path_is_unknown(overrides: Overrides, path: str | None, root_path: str) -> str | None:
    """Return which header names another path than the one that is judged, or None."""
    for name, value in overrides:
        is_other = (name in _PREFIXES and value.strip().rstrip("/") != root_path) or (
            name in _PATHS and root_path + unquote(value.partition("?")[0]) != path
        )
        if is_other:
            return f"the path is unknown: {_came(name, value)}"
    return None


def why_method_is_unknown(overrides: Overrides, method: str) -> str | None:
    """Return which header names another method than the one that is judged, or None."""
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
"""ASGI keeps `_` and `-` apart, and what adapts it to WSGI makes one of them."""
