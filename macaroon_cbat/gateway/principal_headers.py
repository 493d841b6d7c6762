"""The five headers of a principal, which a proxy copies to the server behind it and strips from requests."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from macaroon_cbat.macaroon.verification import Principal

CLIENT, SUBJECT, SCOPE = "Principalclient", "Principalsubject", "Principalscope"
TOKEN_ID, CERTIFICATE = "Principaltokenid", "Principalcertificate"

NAMES = (CLIENT, SUBJECT, SCOPE, TOKEN_ID, CERTIFICATE)
"""The names, without a separator: so there is no alias with `_` or `.` that a server would merge."""

EMPTY_PRINCIPAL_HEADERS = tuple((name, "") for name in NAMES)
"""The headers for a public path: all five, so that the copies overwrite those that a client invented."""

_PLAIN = re.compile(r"[!-$&-~]+\Z")
_KEPT = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


def principal_headers(principal: Principal) -> tuple[tuple[str, str], ...]:
    """Return all five. All but visible ASCII, and `%` itself, is percent-encoded (RFC 3986, UTF-8)."""
    client, subject, token_id = principal.client_id, principal.subject, principal.token_id
    scope: Iterable[str] = principal.scope if len(principal.scope) == 1 else sorted(principal.scope)
    if not _PLAIN.match(f"{client}{subject}{token_id}{''.join(scope)}"):
        client, subject, token_id = _visible(client), _visible(subject), _visible(token_id)
        scope = map(_visible, scope)
    certificate = principal.certificate or ""
    return (
        (CLIENT, client),
        (SUBJECT, subject),
        (SCOPE, " ".join(scope)),
        (TOKEN_ID, token_id),
        (CERTIFICATE, certificate),
    )


def _visible(text: str) -> str:
    return text if _PLAIN.match(text) else quote(text, safe=_KEPT, errors="replace")
