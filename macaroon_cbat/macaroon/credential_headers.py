"""The headers beside Authorization that carry credentials of a request, as adapters find them.

An adapter hands them over as they came, and `discharge_headers` and `dpop_proof` read them. They prove
themselves by MAC or signature, so that no spelling of a name and no proxy on the way can make more of them
than they are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MACAROONS, DISCHARGE, PROOF = "Macaroons", "X-Discharge-Macaroon", "DPoP"
"""The macaroon bakery's header, PingAM's, and that of DPoP proofs (RFC 9449 4.1)."""

CREDENTIAL_HEADERS = (MACAROONS, DISCHARGE, PROOF)
"""Each name. Proxies forward these headers to a gateway, and not beyond it."""

CredentialHeaders = tuple[tuple[str, str], ...]
"""The names, as above, and values of such headers in one request; a repeated one is repeated."""

_KEYS = {"HTTP_" + name.upper().replace("-", "_"): name for name in CREDENTIAL_HEADERS}
_NAMES = {name.lower().encode(): name for name in CREDENTIAL_HEADERS}


def credentials_in_environ(environ: Mapping[str, Any]) -> CredentialHeaders:
    """Return such headers of a WSGI request, where repeated ones are joined with commas."""
    if environ.keys().isdisjoint(_KEYS):
        return ()
    return tuple((name, environ[key]) for key, name in _KEYS.items() if key in environ)


def credentials_in_headers(
    names: Iterable[bytes], headers: Iterable[tuple[bytes, bytes]]
) -> CredentialHeaders:
    """Return such headers of a request; `names` are those of all headers in small letters."""
    if _NAMES.keys().isdisjoint(names):
        return ()
    found = ((_NAMES.get(name.lower()), value) for name, value in headers)
    return tuple((name, value.decode("latin-1")) for name, value in found if name is not None)
