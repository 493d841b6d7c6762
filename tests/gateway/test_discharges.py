"""Discharges in questions of every kind of proxy."""

import time

import pytest

from macaroon_cbat.macaroon.caveats import Expiry
from tests.support.discharging import FORMS, asking, discharge, each_by_itself
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_discharged_token_is_admitted(ask, holder, form):
    """The gateway reads discharges in whichever headers a client sends them."""
    token = asking(asking(good(holder.der)), b"y")
    discharges = discharge(token, Expiry(int(time.time()) + 60)), discharge(token, name=b"y")
    answer = ask(Asked(certificate=holder.der, more=form(token, *discharges)))
    assert (answer.status, answer.principal["Principalclient"]) == (200, "billing")


def test_a_missing_discharge_is_named(ask, running, holder):
    """A missing discharge is a refusal, named in the challenge and the audit log."""
    token = asking(asking(good(holder.der)), b"y")
    answer = ask(Asked(certificate=holder.der, more=each_by_itself(token, discharge(token))))
    named = "third-party caveat 3 at 'https://third.example' has no discharge of its own"
    assert answer.status == 401
    assert named in answer.headers["WWW-Authenticate"]
    assert named in running.audit()[-1]["reason"]
