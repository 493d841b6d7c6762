"""The consent of a person to a request: what the page says of it, and what need not be asked twice.

A consent is remembered for the session in which it was given, and no longer: it ends with the login, so
revoking a subject ends it too. It is remembered only where the redirect URI proves the client (RFC 8252 8.6),
and only for exactly the same grant of the client as it is registered now, for no longer than was said. A
client that registered itself changes its registration as it likes, even while a page is open.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from macaroon_cbat.macaroon.claims import EpochSeconds, several
from macaroon_cbat.service.authorization.people import Person
from macaroon_cbat.service.authorization.requests import AuthorizationRequest, Rules
from macaroon_cbat.stores import Client, ExpiringStore, NewRecord
from macaroon_cbat.text.base64url import encode

_KIND: Final = "consent"
_ANY_AUDIENCE = "every resource server that asks this service about a token"


class Consents:
    """The consents of all sessions."""

    def __init__(self, expiring: ExpiringStore, lifetime: int, rules: Rules) -> None:
        """Keep them in this store; `lifetime` is the greatest number of seconds of a session."""
        self._expiring, self._lifetime, self._rules = expiring, lifetime, rules

    def is_known(
        self, person: Person, client: Client, request: AuthorizationRequest, now: EpochSeconds
    ) -> bool:
        """Return True if this person has consented to the same request in this session.

        A consent of which no record is made, as on a device, is never known.
        """
        if "consent" in request.prompts:
            return False
        return self._expiring.find(_KIND, self._name(person, client, request), now) is not None

    def records(
        self, person: Person, client: Client, request: AuthorizationRequest, now: EpochSeconds
    ) -> tuple[NewRecord, ...]:
        """Return the record of a consent, or none if it has to be asked for again."""
        if not request.proves_client:
            return ()
        return (NewRecord(_KIND, self._name(person, client, request), b"", now + self._lifetime),)

    def _name(self, person: Person, client: Client, request: AuthorizationRequest) -> str:
        """Return the name of a grant in a session. A change that takes rights away moves `tokens_since`."""
        parts = [
            *(person.session, person.subject),
            *(client.client_id, client.created_at, client.tokens_since),
            *(request.redirect_uri, request.scope, request.audience, request.carried),
            renewal_of(client, self._rules),
        ]
        return msgspec.json.encode(parts).decode()


def consent_content(
    client: Client, request: AuthorizationRequest, person: Person, lifetime: int, rules: Rules
) -> dict[str, object]:
    """Return what the page of consent shows: client, scope, audience, lifetime and the person.

    `lifetime` is that of an access token, in seconds.
    """
    longest = renewal_of(client, rules)
    return {
        "client_id": client.client_id,
        "client_name": client.metadata.client_name or client.client_id,
        "scopes": request.scope.split(" "),
        "audiences": [_ANY_AUDIENCE] if request.audience is None else several(request.audience),
        "details": request.detail_lines,
        "redirect": redirect_host(request.redirect_uri),
        "is_proven": request.proves_client,
        "lifetime": in_words(lifetime),
        "renewed_for": None if longest is None else in_words(longest),
        "person": person.name,
        "subject": person.subject,
    }


def renewal_of(client: Client, rules: Rules) -> int | None:
    """Return the seconds for which a client may renew its token without the person; None if it may not."""
    if "refresh_token" not in client.metadata.allowed_grants:
        return None
    return client.metadata.refresh_max_seconds or rules.refresh_max


def digest_of(content: Mapping[str, object]) -> str:
    """Return a name of what a page shows: a decision counts for nothing else."""
    return encode(sha256(msgspec.json.encode(content, order="sorted")).digest())


def redirect_host(uri: str) -> str:
    """Return the place that an answer goes to, as a person can judge it."""
    scheme, _, rest = uri.partition(":")
    if scheme not in ("https", "http"):
        return f"an application of this device ({scheme}:)"
    host = rest.removeprefix("//").partition("/")[0].partition("?")[0]
    return f"an application of this device ({host})" if scheme == "http" else host


def in_words(seconds: int) -> str:
    """Return a time in the greatest unit that measures it."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    raise AssertionError("one second measures every whole number of seconds")
