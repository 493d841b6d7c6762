"""Errors of the pages for people."""

from macaroon_cbat.errors import AccessDenied, OAuthError


class ForgedForm(AccessDenied):
    """A form did not come from the page of the service that the same browser was shown."""

    fixed_description = (
        "this form does not come from the page that this browser was shown: allow cookies of this site, open "
        "the page again, and send its form"
    )


class DeniedByPerson(OAuthError):
    """The person whom a client asked for access denied it (RFC 6749 4.1.2.1, RFC 8628 3.5)."""

    code = "access_denied"
