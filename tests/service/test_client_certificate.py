"""The client certificate of a request: found once, by the one certificate source of the application."""

import pytest

from macaroon_cbat.certificate.source import PresentedCertificate, RequestConnection, tls_connection
from tests.support.service import GRANT_TYPE, SECRETS, basic


class Counted:
    """A certificate source that counts how often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Count a call, and look at the connection."""
        self.calls += 1
        return tls_connection(connection)


BILLING = {"Authorization": basic("billing", SECRETS["billing"])}
RESTRICT = {"macaroon": "AgE", "bind": "connection"}
REQUESTS = {
    "a token is minted": ("/oauth2/token", {"data": GRANT_TYPE, "headers": BILLING}, 200, 1),
    "a token is refused": ("/oauth2/token", {"data": GRANT_TYPE}, 401, 1),
    "an introspection is refused": ("/oauth2/introspect", {"data": {"token": "x"}}, 401, 1),
    "a macaroon is restricted": ("/macaroon/restrict", {"json": RESTRICT}, 400, 1),
    "an administrator is refused": ("/admin/keys", {"method": "GET"}, 401, 1),
    "an unknown path": ("/nowhere", {"method": "GET"}, 404, 1),
    "the metadata": ("/.well-known/oauth-authorization-server", {"method": "GET"}, 200, 0),
}


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_the_source_is_called_once_a_request(start, certificate, case):
    """Authentication, guard and audit log share one look at the connection; other routes take none."""
    path, request_, status, calls = case
    source = Counted()
    service = start(certificate_source=source)
    assert service.open(path, certificate, **request_).status_code == status
    assert source.calls == calls


def test_the_next_request_is_looked_at_again(start, certificate, other_certificate):
    """A certificate is never that of an earlier request, also over one client."""
    source = Counted()
    service = start(certificate_source=source)
    for identity in (certificate, other_certificate, None):
        service.open("/oauth2/token", identity, data=GRANT_TYPE, headers=BILLING)
    assert source.calls == 3
