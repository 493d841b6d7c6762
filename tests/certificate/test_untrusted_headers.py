"""The request headers that no proxy or server of ours forwards."""

import pytest

from macaroon_cbat.certificate.untrusted_headers import UNTRUSTED_HEADERS
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES


@pytest.mark.parametrize("name", ["X-Envoy-Peer-Metadata", "X-Envoy-Peer-Metadata-Id"])
def test_names_of_other_products_are_spelled_as_the_products_spell_them(name: str) -> None:
    """A header of another product stands in the list under the name that the product reads."""
    assert name in UNTRUSTED_HEADERS


@pytest.mark.parametrize("key", [PEER_CERTIFICATE, PEER_INTERMEDIATES])
def test_the_keys_of_our_own_server_keep_their_names(key: str) -> None:
    """The environ keys of the TLS server are names of ours, which the attacks spell as headers."""
    assert key.startswith("macaroon_cbat.peer_")
