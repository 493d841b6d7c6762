"""Introspection of a token together with the certificate that it came with."""

import pytest

from tests.support.databases import NOW
from tests.support.service import refused


def introspected(service, token, client_certificate):
    form = {"token": token, "client_certificate": client_certificate}
    return service.post("/oauth2/introspect", form, "api")


def test_a_revoked_certificate_makes_any_token_inactive(service, certificate, other_certificate):
    """Even an unbound token is inactive when it came with a revoked certificate."""
    token = service.token()
    service.stores.revocations.revoke("certificate", certificate.thumbprint, now=NOW, expires_at=NOW + 9)
    assert introspected(service, token, certificate.thumbprint).json == {"active": False}
    assert introspected(service, token, other_certificate.thumbprint).json["active"] is True
    assert service.introspect(token)["active"] is True


@pytest.mark.parametrize("text", ["0" * 64, "A" * 42, "A" * 42 + "B", "x5t"])
def test_a_malformed_thumbprint_is_refused(service, text):
    """A malformed thumbprint is an error, not a token that is inactive."""
    assert "43 characters" in refused(introspected(service, service.token(), text), 400, "invalid_request")
