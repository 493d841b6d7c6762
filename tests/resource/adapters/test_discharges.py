"""Discharges through every adapter: the headers that they come in, and what is refused."""

import pytest

from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.minting import mint_discharge
from tests.support.challenges import challenge_of
from tests.support.discharging import FORMS, NAME, SECRET, THERE, asking, bearer, discharge, macaroons, saying
from tests.support.guarded_app import bound
from tests.support.log_lines import line_of

TOKEN = asking(asking(bound()), b"y")
BOTH = (discharge(TOKEN), discharge(TOKEN, name=b"y"))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_discharged_token_is_admitted(adapter, guarded, form):
    """A token is admitted with its discharges, in whichever headers they come."""
    reply = adapter.call(guarded, headers=form(TOKEN, *BOTH))
    assert (reply.status, reply.json()["client"]) == (200, "billing")


def test_a_missing_discharge_is_named(adapter, guarded, log):
    """A missing discharge is 401, named in challenge, body and audit line."""
    reply = adapter.call(guarded, TOKEN, headers=(("X-Discharge-Macaroon", BOTH[1]),))
    named = "third-party caveat 2 at 'https://third.example' has no discharge of its own"
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert named in reply.json()["error_description"]
    assert named in challenge_of(reply)
    assert named in line_of(log)["reason"]


REFUSED = {
    "one that no caveat asks for": (bound(), [discharge(bound())], 401),
    "one too many": (TOKEN, [*BOTH, discharge(TOKEN, name=b"z")], 401),
    "one twice": (TOKEN, [*BOTH, BOTH[0]], 401),
    "one that is not bound": (asking(bound()), [mint_discharge(THERE, SECRET, NAME)], 401),
    "one bound to the parent": (TOKEN, [discharge(bound()), BOTH[1]], 401),
    "one of another key": (TOKEN, [discharge(TOKEN, secret=b"j" * 32), BOTH[1]], 401),
    "one that asks for itself": (asking(bound()), [discharge(asking(bound()), asked=[NAME])], 401),
    "one that restricts": (asking(bound()), [discharge(asking(bound()), Scope("other"))], 401),
    "one that says what is unknown": (asking(bound()), [saying(asking(bound()), "allow read")], 401),
    "rubbish": (TOKEN, ["rubbish"], 401),
    "seventeen": (TOKEN, [BOTH[0]] * 17, 401),
}


@pytest.mark.parametrize(("text", "discharges", "status"), REFUSED.values(), ids=REFUSED)
def test_other_discharges_are_refused(adapter, guarded, text, discharges, status):
    """Each discharge is used exactly once, bound to this token, and its caveats are judged."""
    headers = tuple(("X-Discharge-Macaroon", one) for one in discharges)
    reply = adapter.call(guarded, text, headers=headers)
    assert (reply.status, reply.json()["error"]) == (status, "invalid_token")


def test_the_scope_of_a_discharge_narrows(adapter, guarded):
    """A discharge restricts as the token itself does."""
    token = asking(bound())
    narrowed = discharge(token, Scope("read"))
    assert adapter.call(guarded, headers=macaroons(token, narrowed)).json()["scope"] == ["read"]
    reply = adapter.call(guarded, headers=macaroons(token, narrowed), path="/both")
    assert (reply.status, reply.json()["error"]) == (403, "insufficient_scope")


def test_a_token_in_the_bakerys_header_is_a_token(adapter, guarded):
    """`Macaroons` alone brings the token, and over the wrong connection it is worthless as ever."""
    assert adapter.call(guarded, headers=macaroons(bound())).status == 200
    assert adapter.call(guarded, headers=macaroons(bound()), certificate=None).status == 401
    assert adapter.call(guarded, headers=macaroons(TOKEN, *BOTH), certificate=None).status == 401


def test_two_tokens_are_400(adapter, guarded):
    """`Macaroons` that begins with another token than Authorization is a bad request."""
    reply = adapter.call(guarded, headers=(*bearer(bound()), *macaroons(TOKEN, *BOTH)))
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
