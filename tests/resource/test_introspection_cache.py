"""Positive answers of the service, remembered for a while, and certificates that are revoked."""

import time

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import Expiry, Method, confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import Introspection
from tests.support.feeds import Feeding
from tests.support.guarded_app import CERTIFICATE, THIEF, call
from tests.support.introspecting import asking
from tests.support.service_process import API
from tests.support.tls_servers import wait_until


def test_a_positive_answer_counts_for_the_bound_and_no_longer(alone: Feeding):
    """Without the service a remembered token passes until the bound, and is 503 from then on."""
    with alone.service.running():
        token, unseen = alone.token(), alone.token()
        app, forgetful = asking(alone, 2), asking(alone)
        assert call(app, token).status_code == call(forgetful, token).status_code == 200
    assert call(forgetful, token).status_code == 503
    assert call(app, unseen).status_code == 503
    wait_until(lambda: call(app, token).status_code == 503)


def test_a_remembered_token_is_judged_anew(alone: Feeding):
    """Certificate, caveats and expiry are judged at every request, whatever was remembered."""
    with alone.service.running():
        now = [time.time()]
        token = attenuate(alone.token(), [Method("GET"), Expiry(EpochSeconds(int(now[0]) + 60))])
        app = asking(alone, 300, clock_skew=0, clock=lambda: now[0])
        assert call(app, token).status_code == 200
        assert call(app, token, method="POST").status_code == 401
        assert call(app, token, certificate=THIEF).status_code == 401
        assert call(app, token, certificate=None).status_code == 401
        now[0] += 60
        assert call(app, token).status_code == 401


def test_a_refusal_is_not_remembered(alone: Feeding):
    """Only positive answers are remembered, and a revoked token is refused once they are too old."""
    with alone.service.running():
        token, app = alone.token(), asking(alone, 1)
        assert call(app, token).status_code == 200
        alone.revoke("token", read_identifier(read_macaroon(token).identifier).jti)
        wait_until(lambda: call(app, token).status_code == 401)
        assert call(app, token).status_code == 401


def test_a_revoked_certificate_is_refused_for_unbound_tokens_too(alone: Feeding):
    """The service learns the connection's certificate, and calls no token active over a revoked one."""
    with alone.service.running():
        token = alone.service.client("billing", alone.secrets["billing"], resource=API)()
        app = asking(alone, require_certificate=False)
        assert call(app, token).status_code == 200
        alone.revoke("certificate", thumbprint_of(DerCertificate(CERTIFICATE)))
        assert call(app, token).status_code == 401
        assert call(app, token, certificate=THIEF).status_code == 200
        bound = attenuate(token, [confirmation(thumbprint_of(DerCertificate(CERTIFICATE)))])
        assert call(app, bound).status_code == 401


def test_a_negative_bound_is_refused():
    """There is no remembering for less than no time."""
    with pytest.raises(SettingsError, match="cache_seconds"):
        Introspection("https://localhost", API, "a", "b", cache_seconds=-1)
