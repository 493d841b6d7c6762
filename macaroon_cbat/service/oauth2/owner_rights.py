"""The bounds of what a person may grant to a client, and for how long a decision of a person holds."""

from macaroon_cbat.errors import InvalidTarget
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.stores import RevocationStore

_ANY_ID = "A" * 22


def refuse_the_service_itself(audience: str | tuple[str, ...] | None, issuer: str) -> None:
    """Raise InvalidTarget if the audience is the service itself.

    Its scopes administer the service and export its keys. A client has them because an operator registered
    it; no login of a person at an upstream provider gives them.
    """
    if issuer == audience or (isinstance(audience, tuple) and issuer in audience):
        raise InvalidTarget("a person cannot grant the use of the service itself: name another resource")


def reason_of_end(
    revocations: RevocationStore, client_id: str, subject: str, since: EpochSeconds
) -> str | None:
    """Return why what a person did at `since` holds no longer, or None.

    A login, an approval or a code is no token yet. Revoking the tokens so far of the client or the subject
    ends it all the same.
    """
    done = Grant(client_id=client_id, exp=since, iat=since, jti=_ANY_ID, kid="-", scope="-", sub=subject)
    return revocations.reason(done, None)
