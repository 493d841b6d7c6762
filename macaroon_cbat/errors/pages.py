"""Errors of the pages for people."""

from macaroon_cbat.errors import AccessDenied


class ForgedForm(AccessDenied):
    """A form did not come from the page of the service that the same browser was shown."""

    fixed_description = (
        "this form does not come from the page that this browser was shown: allow cookies of this site, open "
        "the page again, and send its form"
    )
