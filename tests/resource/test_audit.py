"""The audit line of each refusal by a resource server."""

import json

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Expiry
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.forged_tokens import forged
from tests.support.guarded_app import CERTIFICATE, THIEF, bound, call
from tests.support.tokens import API, NOW, token

BAD, NARROW = (401, "invalid_token"), (403, "insufficient_scope")


def only(log) -> dict[str, object]:
    """Return the one event."""
    [record] = log.records
    assert record.name == "macaroon_cbat.audit"
    return dict(json.loads(record.getMessage()))


def token_id(text: str) -> str:
    return read_identifier(read_macaroon(text).identifier).jti


@pytest.mark.parametrize(
    ("case", "answer", "reason"),
    [
        pytest.param((bound, {"certificate": THIEF}), BAD, "bound to", id="stolen"),
        pytest.param((lambda: bound(Expiry(NOW - 60)), {}), BAD, "expired", id="expired"),
        pytest.param((token, {}), BAD, "cnf", id="unbound"),
        pytest.param((bound, {"path": "/root"}), NARROW, "root", id="too little scope"),
    ],
)
def test_who_is_refused_and_why(app, log, case, answer, reason):
    """The refusal of an authentic token names the token, its client and the connection's certificate."""
    (make, options), (status, error) = case, answer
    text = make()
    assert call(app, text, **options).status_code == status
    found = only(log)
    assert reason in found.pop("reason")
    assert found.pop("at").endswith("Z")
    der = DerCertificate(options.get("certificate", CERTIFICATE))
    assert found == {
        "event": "admission.refused",
        "who": "billing",
        "token_id": token_id(text),
        "certificate": thumbprint_of(der),
        "audience": API,
        "status": status,
        "error": error,
        "address": "192.0.2.7",
    }
    assert text[100:140] not in log.text


@pytest.mark.parametrize("text", ["rubbish", None, 'x","who":"operator'], ids=["rubbish", "none", "forged"])
def test_no_client_is_named_without_a_signature(app, log, text):
    """An event of a token that is not authentic names neither client nor token."""
    assert call(app, text).status_code == 401
    found = only(log)
    assert ("who" in found, "token_id" in found, found["event"]) == (False, False, "admission.refused")


@pytest.mark.parametrize("text", ["rubbish", None], ids=["rubbish", "none"])
def test_junk_hides_no_stolen_token(app, log, text):
    """However much junk comes before, the use of a stolen token says whose it is, which, and from where."""
    assert {call(app, text).status_code for _ in range(200)} == {401}
    stolen = bound()
    assert call(app, stolen, certificate=THIEF).status_code == 401
    line = json.loads(log.records[-1].getMessage())
    assert (line["who"], line["token_id"], line["address"]) == ("billing", token_id(stolen), "192.0.2.7")
    assert line["certificate"] == thumbprint_of(DerCertificate(THIEF))
    assert thumbprint_of(DerCertificate(CERTIFICATE)) in line["reason"]


def test_a_forged_identifier_names_no_client(app, log):
    """A token with a wrong signature does not write its claims into the log."""
    text = bound()
    assert call(app, forged(text)).status_code == 401
    found = only(log)
    assert ("who" in found, "token_id" in found) == (False, False)
    assert token_id(text) not in log.text


def test_who_may_pass_leaves_no_line(app, log):
    """An admitted request is not audited: that would cost more than verifying it."""
    assert call(app, bound()).status_code == 200
    assert log.records == []
