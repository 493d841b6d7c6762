"""The five headers of a principal, which a proxy copies to the server behind it and strips from requests."""

import re
from functools import lru_cache
from urllib.parse import quote

from macaroon_cbat.macaroon.verification import Principal

CLIENT, SUBJECT, SCOPE = "Principalclient", "Principalsubject", "Principalscope"
TOKEN_ID, CERTIFICATE = "Principaltokenid", "Principalcertificate"

NAMES = (CLIENT, SUBJECT, SCOPE, TOKEN_ID, CERTIFICATE)
"""The names, without a separator: so there is no alias with `_` or `.` that a server would merge."""

PrincipalHeaders = tuple[tuple[str, str], ...]

EMPTY_PRINCIPAL_HEADERS: PrincipalHeaders = tuple((name, "") for name in NAMES)
"""The headers for a public path: all five, so that the copies overwrite those that a client invented."""

_PLAIN = re.compile(r"[!-$&-~]+\Z")
_KEPT = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


def principal_headers(principal: Principal) -> PrincipalHeaders:
    """Return all five. All but visible ASCII, and `%` itself, is percent-encoded (RFC 3986, UTF-8)."""
    return remembered_headers(
        principal.client_id, principal.subject, principal.scope, principal.token_id, principal.certificate
    )


@lru_cache(maxsize=4096)
def remembered_headers(
    client: str, subject: str, scope: frozenset[str], token_id: str, certificate: str | None
) -> PrincipalHeaders:
    """Return the headers of these members. Remembered: the children of one token have the same."""
    return (
        (CLIENT, _visible(client)),
        (SUBJECT, _visible(subject)),
        (SCOPE, " ".join(map(_visible, sorted(scope)))),
        (TOKEN_ID, _visible(token_id)),
        (CERTIFICATE, certificate or ""),
    )


def _visible(text: str) -> str:
    return text if _PLAIN.match(text) else quote(text, safe=_KEPT, errors="replace")
