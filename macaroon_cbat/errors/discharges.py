"""Errors of the discharge service."""

from macaroon_cbat.errors import AccessDenied
from macaroon_cbat.errors.oauth import InvalidRequest, OAuthError


class UnreadableCaveat(InvalidRequest):
    """The caveat is not encrypted to this service, or malformed; every reason gets one answer."""

    fixed_description = (
        "the caveat is not readable here: encrypt it in form 2 or 3 of the macaroon bakery to the public key "
        "that discharge/info shows"
    )


class UnknownCondition(InvalidRequest):
    """The caveat asks for what this service does not check."""

    fixed_description = (
        "the condition is unknown: this service checks is-member-of GROUP... and user-approves SUBJECT TEXT"
    )


class InvalidLink(InvalidRequest):
    """A link of an approval is damaged, foreign or too old."""

    fixed_description = "this link is damaged or has expired: begin anew where you came from"


class ConditionNotMet(AccessDenied):
    """The condition of a caveat does not hold for the caller."""

    fixed_description = "the condition of the caveat is not met"


class InteractionRequired(OAuthError):
    """A person must decide before a caveat is discharged: at `visit_url`, while the client waits."""

    status = 401
    code = "interaction_required"
    fixed_description = "a person must approve this first: open the link in a browser"

    def __init__(self, visit_url: str, wait_url: str) -> None:
        super().__init__("a person has to decide first")
        self.visit_url, self.wait_url = visit_url, wait_url
