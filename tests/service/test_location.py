"""The location of a token lies outside the MAC, and the service reads it nowhere."""

import msgspec
import pytest

from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.service import API
from tests.support.tokens import spell


@pytest.mark.parametrize("location", [None, b"https://evil.example", b""], ids=["none", "another's", "empty"])
def test_the_service_knows_a_relocated_token(service, location):
    """The service says the same of a token under every location, and revokes it under all by any."""
    text = service.token(resource=API)
    other = spell(msgspec.structs.replace(read_macaroon(text), location=location))
    assert other != text
    assert service.introspect(other) == service.introspect(text)
    assert service.introspect(text)["active"] is True
    assert service.revoke(other).status_code == 200
    assert service.introspect(text) == service.introspect(other) == {"active": False}
