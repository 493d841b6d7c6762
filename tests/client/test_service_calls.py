"""Calls to the service itself, against a service that is none."""

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.errors import Unavailable
from tests.client.conftest import Server


@pytest.mark.parametrize(
    ("path", "says"),
    [("/nested-page", "nested too deeply"), ("/large", "malformed")],
    ids=["nested", "no JSON"],
)
def test_an_answer_that_is_no_json_is_unavailable(
    server: Server, certificate: ClientCertificate, path: str, says: str
) -> None:
    """An answer that nests too deeply, or is no JSON, is Unavailable."""
    calls = ServiceCalls(server.client("usual"), certificate, server.ca)
    with pytest.raises(Unavailable, match=says):
        calls.call("GET", path)
