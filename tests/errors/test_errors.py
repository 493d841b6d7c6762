import re

import pytest

from macaroon_cbat import errors
from macaroon_cbat.errors import (
    CaveatsNotMet,
    InsufficientScope,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    MacaroonError,
    OAuthError,
    ProxyMisconfigured,
    Refused,
    ServerMisconfigured,
    SettingsError,
    Unavailable,
)
from macaroon_cbat.errors.texts import MAX_DESCRIPTION, Answered
from macaroon_cbat.macaroon.bearer import challenge

ANSWERS = {
    "OAuthError": (400, "invalid_request"),
    "InvalidRequest": (400, "invalid_request"),
    "UnsupportedMediaType": (415, "invalid_request"),
    "NotFound": (404, "not_found"),
    "Conflict": (409, "conflict"),
    "PreconditionFailed": (412, "precondition_failed"),
    "AmbiguousHeader": (400, "invalid_request"),
    "ClientExists": (409, "invalid_client_metadata"),
    "MissingToken": (401, None),
    "InvalidToken": (401, "invalid_token"),
    "MalformedMacaroon": (401, "invalid_token"),
    "UnknownKey": (401, "invalid_token"),
    "SignatureMismatch": (401, "invalid_token"),
    "NotDischarged": (401, "invalid_token"),
    "Revoked": (401, "invalid_token"),
    "CaveatsNotMet": (401, "invalid_token"),
    "Inactive": (401, "invalid_token"),
    "NotCertificateBound": (401, "invalid_token"),
    "InsufficientScope": (403, "insufficient_scope"),
    "AccessDenied": (403, "access_denied"),
    "NoRule": (403, "access_denied"),
    "NotServed": (403, "access_denied"),
    "Unguarded": (403, "access_denied"),
    "UntrustedProxy": (403, "access_denied"),
    "InvalidClient": (401, "invalid_client"),
    "InvalidGrant": (400, "invalid_grant"),
    "UnauthorizedClient": (400, "unauthorized_client"),
    "UnsupportedGrantType": (400, "unsupported_grant_type"),
    "InvalidScope": (400, "invalid_scope"),
    "InvalidClientMetadata": (400, "invalid_client_metadata"),
    "InvalidTarget": (400, "invalid_target"),
    "UnsupportedResponseType": (400, "unsupported_response_type"),
    "InvalidAuthorizationDetails": (400, "invalid_authorization_details"),
    "InvalidRedirectUri": (400, "invalid_redirect_uri"),
    "AuthorizationPending": (400, "authorization_pending"),
    "SlowDown": (400, "slow_down"),
    "ExpiredDeviceCode": (400, "expired_token"),
    "InvalidDpopProof": (400, "invalid_dpop_proof"),
    "UseDpopNonce": (400, "use_dpop_nonce"),
    "TooManyRequests": (429, "too_many_requests"),
}
ASIDE = {
    Answered,
    MacaroonError,
    ProxyMisconfigured,
    Refused,
    ServerMisconfigured,
    SettingsError,
    Unavailable,
}
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MacaroonError)]
ANSWERING = [kind for kind in KINDS if issubclass(kind, OAuthError)]
TOLD = {errors.NotServed}
"""Refused by rights alone: its caller, which is authenticated, learns how the operator gives the right."""
JUDGED = [kind for kind in ANSWERING if kind.status in (401, 403) and kind not in TOLD]
DIRTY = 'secret="k1"\\\r\nX-Evil: 1\x1b[31m é \ud800'


def raised(kind: type[OAuthError]) -> OAuthError:
    return kind((DIRTY,)) if kind is CaveatsNotMet else kind(DIRTY)


@pytest.mark.parametrize("kind", ANSWERING)
def test_each_refusal_has_its_status_and_code(kind):
    """Every OAuth error leaves with the status and the code that its RFC gives it."""
    assert (kind.status, kind.code) == ANSWERS[kind.__name__]


@pytest.mark.parametrize("kind", ANSWERING)
def test_descriptions_are_safe_in_a_header(kind):
    """A description has only the characters that RFC 6749 5.2 allows, so it needs no quoting anywhere."""
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", raised(kind).description)


@pytest.mark.parametrize("kind", JUDGED)
def test_what_was_judged_is_described_alike(kind):
    """A caller whose token or credential was judged learns no reason from the answer; the log holds it."""
    error = raised(kind)
    assert "secret" not in error.description
    assert "secret" not in challenge(InvalidToken(DIRTY), realm="api")
    assert "secret=" in str(error)


@pytest.mark.parametrize("kind", InvalidToken.__subclasses__())
def test_each_judgement_has_its_own_description(kind):
    """The caller can tell apart why a token was refused, as far as it helps an honest one."""
    others = {other.fixed_description for other in {InvalidToken, *InvalidToken.__subclasses__()} - {kind}}
    assert kind.fixed_description not in others


@pytest.mark.parametrize("kind", ANSWERING)
def test_a_description_is_short(kind):
    """A description travels in a header: whatever a client sends, it has a bound."""
    long = "x" * 10_000
    error = kind((long,), (long,)) if kind is CaveatsNotMet else kind(long)
    assert len(error.description) <= MAX_DESCRIPTION


def test_a_bad_request_says_what_was_wrong():
    """A caller whose request alone was judged learns the reason itself."""
    assert InvalidRequest("grant_type is missing").description == "grant_type is missing"


def test_an_unknown_client_and_a_wrong_secret_look_alike():
    """Failed client authentication has one description, whatever failed."""
    assert InvalidClient("no client 'x'").description == InvalidClient("wrong secret").description


def test_unmet_caveats_are_listed():
    """CaveatsNotMet keeps every reason, and its text joins them."""
    error = CaveatsNotMet(("expired", "another audience"))
    assert error.unmet == ("expired", "another audience")
    assert str(error) == "expired; another audience"


def test_insufficient_scope_keeps_the_scope():
    """InsufficientScope keeps the scope that is required."""
    assert InsufficientScope("read write").scope == "read write"


def test_cannot_tell_is_no_refusal():
    """Unavailable is 503, neither a bad token nor any other OAuth refusal."""
    assert Unavailable.status == 503
    assert not issubclass(Unavailable, OAuthError)
    assert issubclass(Unavailable, MacaroonError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Refused(400, "invalid_scope", "no"), "the service answered 400 invalid_scope: no"),
        (Refused(502, None, "Bad Gateway"), "the service answered 502: Bad Gateway"),
    ],
    ids=["with a code", "without a code"],
)
def test_a_refusal_by_the_service_reads_well(error, text):
    """A refusal by the service is told in one line, with its status and code."""
    assert str(error) == text


def test_nothing_is_left_out():
    """Every class in errors.py is an answer above, or stands aside on purpose."""
    assert {kind.__name__ for kind in KINDS} - {kind.__name__ for kind in ASIDE} == set(ANSWERS)


def test_a_reason_is_one_line():
    """A stranger's text that an error quotes cannot begin a line of its own in a log."""
    reason = "unknown caveat x\n2026-01-01 INFO minted\r\x1b[2J\u2028"
    assert str(errors.MalformedMacaroon(reason)) == r"unknown caveat x\n2026-01-01 INFO minted\r\x1b[2J\u2028"
    assert str(errors.SettingsError("two\nlines")) == r"two\nlines"
