"""The five headers of a principal, which a proxy copies to the server behind it and strips from requests."""

import re
from urllib.parse import quote

from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.text.generations import Generations

CLIENT, SUBJECT, SCOPE = "Principalclient", "Principalsubject", "Principalscope"
TOKEN_ID, CERTIFICATE = "Principaltokenid", "Principalcertificate"

NAMES = (CLIENT, SUBJECT, SCOPE, TOKEN_ID, CERTIFICATE)
"""The names, without a separator: so there is no alias with `_` or `.` that a server would merge."""

PrincipalHeaders = tuple[tuple[str, str], ...]

EMPTY_PRINCIPAL_HEADERS: PrincipalHeaders = tuple((name, "") for name in NAMES)
"""The headers for a public path: all five, so that the copies overwrite those that a client invented."""

_PLAIN = re.compile(r"[!-$&-~]+\Z")
_KEPT = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


LONGEST_KEPT = 512
"""Characters of the longest values whose headers are kept: a token may be sixteen times as long."""

Members = tuple[str, str, frozenset[str], str, str | None]

kept_headers: Generations[Members, PrincipalHeaders] = Generations(2048)
"""The headers of principals, by what they are written from: the children of one token have the same."""


def principal_headers(principal: Principal) -> PrincipalHeaders:
    """Return all five. All but visible ASCII, and `%` itself, is percent-encoded (RFC 3986, UTF-8)."""
    scope, certificate = principal.scope, principal.certificate
    members = (principal.client_id, principal.subject, scope, principal.token_id, certificate)
    headers = kept_headers.get(members)
    if headers is None:
        headers = (
            (CLIENT, _visible(principal.client_id)),
            (SUBJECT, _visible(principal.subject)),
            (SCOPE, " ".join(map(_visible, sorted(scope)))),
            (TOKEN_ID, _visible(principal.token_id)),
            (CERTIFICATE, certificate or ""),
        )
        if sum(len(value) for _, value in headers) <= LONGEST_KEPT:
            kept_headers.put(members, headers)
    return headers


def _visible(text: str) -> str:
    return text if _PLAIN.match(text) else quote(text, safe=_KEPT, errors="replace")
