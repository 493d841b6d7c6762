"""The bounds of what a person may grant to a client, and for how long a decision of a person holds."""

from macaroon_cbat.errors import InvalidTarget
from macaroon_cbat.macaroon.claims import EpochSeconds, several
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.service.oauth2.entitlements import Audience
from macaroon_cbat.stores import RevocationStore

OF_PEOPLE = "grants"
"""The scope of the service itself that a person may grant."""

_ANY_ID = "A" * 22


def refuse_operators_rights(audience: Audience, scope: str, issuer: str) -> None:
    """Raise InvalidTarget for a use of the service itself that a person cannot grant.

    Most of its scopes administer the service and export its keys. A client has them because an operator
    registered it; no login of a person gives them. A person may let a client list the person's own logins.
    """
    if issuer in several(audience or ()) and (audience != issuer or scope != OF_PEOPLE):
        raise InvalidTarget(
            f"a person cannot grant the use of the service itself but for the scope {OF_PEOPLE}: name "
            "another resource"
        )


def reason_of_end(
    revocations: RevocationStore, client_id: str, subject: str, since: EpochSeconds
) -> str | None:
    """Return why what a person did at `since` holds no longer, or None.

    A login, an approval or a code is no token yet. Revoking the tokens so far of the client or the subject
    ends it all the same.
    """
    done = Grant(client_id=client_id, exp=since, iat=since, jti=_ANY_ID, kid="-", scope="-", sub=subject)
    return revocations.reason(done, None)
