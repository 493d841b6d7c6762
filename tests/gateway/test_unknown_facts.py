"""Facts that a gateway does not know: a caveat about one of them refuses."""

import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors import CaveatsNotMet, InvalidRequest, OAuthError
from macaroon_cbat.macaroon.caveats import read_caveats
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.request import PresentedRequest
from tests.support.gateway_in_process import deciding_by
from tests.support.gateway_tokens import good
from tests.support.tokens import API, KEYS

ROOT = {
    "path": b'{"path":"/"}',
    "htu": b'{"htu":"https://api.example/"}',
    "htu without a slash": b'{"htu":"https://api.example"}',
}


@pytest.fixture
def admission(tmp_path: Path) -> Admission:
    """Return what a gateway admits by, without certificates."""
    (tmp_path / "keys.json").write_bytes(write_key_file(KEYS))
    (tmp_path / "keys.json").chmod(0o600)
    deciding = deciding_by(tmp_path, keys="keys.json", require_certificate=False)
    return deciding.in_force.gateway.admission


def presented(token: str, **changes: Any) -> PresentedRequest:
    connection = RawConnection([(b"Clientcertx5t", b"none")], address=None, is_unix_socket=True)
    facts = {"connection": connection, "method": "GET", "path": "/", "address": "192.0.2.7", **changes}
    return PresentedRequest(now=int(time.time()), authorization=f"Bearer {token}", **facts)


@pytest.mark.parametrize("caveat", ROOT.values(), ids=ROOT)
def test_an_unknown_path_is_not_the_root(admission: Admission, caveat: bytes):
    """A caveat for `/` is not met where the path of a request is not known."""
    assert admission.origin == API
    token = good(None, *read_caveats(caveat))
    assert admission.admit(presented(token)).client_id == "billing"
    for unknown in (None, ""):
        with pytest.raises(CaveatsNotMet):
            admission.admit(presented(token, path=unknown))


@pytest.mark.parametrize("caveat", ROOT.values(), ids=ROOT)
def test_an_unknown_origin_is_not_every_one(admission: Admission, caveat: bytes):
    """A caveat about path or target is not met where a gateway does not know its own origin."""
    with pytest.raises(CaveatsNotMet):
        structs.replace(admission, origin=None).admit(presented(good(None, *read_caveats(caveat))))


@pytest.mark.parametrize(
    ("caveat", "unknown", "error"),
    [
        (b'{"ip":["0.0.0.0/0","::/0"]}', {"address": None}, CaveatsNotMet),
        (b'{"htm":"GET"}', {"method": ""}, InvalidRequest),
    ],
    ids=["address", "method"],
)
def test_an_unknown_fact_is_not_any(
    admission: Admission, caveat: bytes, unknown: dict[str, Any], error: type[OAuthError]
):
    """No caveat about an address or a method that is not known is met, however wide."""
    with pytest.raises(error):
        admission.admit(presented(good(None, *read_caveats(caveat)), **unknown))


def test_a_caveat_for_the_root_covers_what_is_below(admission: Admission):
    """The same caveat for `/` is met by every known path."""
    token = good(None, *read_caveats(ROOT["path"]))
    assert admission.admit(presented(token, path="/invoices/7")).client_id == "billing"
