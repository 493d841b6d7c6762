"""Calls to the service itself, against a service that is none."""

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.errors import Unavailable
from tests.support.token_server import Server


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nested-page", "nested too deeply"),
        ("/text-page", "malformed"),
        ("/large", "more than 8388608 bytes"),
    ],
    ids=["nested", "no JSON", "endless"],
)
def test_an_answer_that_is_no_json_is_unavailable(
    server: Server, certificate: ClientCertificate, path: str, says: str
) -> None:
    """An answer that nests too deeply, is no JSON, or larger than any answer is Unavailable."""
    calls = ServiceCalls(server.client("usual", certificate=certificate))
    with pytest.raises(Unavailable, match=says):
        calls.call("GET", path)
