"""Audiences as JavaScript's URL writes them are the same audiences (WHATWG URL, RFC 3986 6.2.2, 6.2.3)."""

import json
import subprocess

import pytest

from macaroon_cbat.macaroon.audiences import audience_mistake, canonical_audience
from tests.support.audiences import SAME
from tests.support.node import NODE
from tests.support.patience import SECONDS

REGISTERED = sorted({text for pair in SAME.values() for text in pair})


@pytest.fixture(scope="module")
def hrefs() -> dict[str, str]:
    """Return what JavaScript sends for each of these URLs."""
    program = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(text => new URL(text).href)))"
    command = [NODE, "-e", program, json.dumps(REGISTERED)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    return dict(zip(REGISTERED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("audience", REGISTERED)
def test_an_href_is_the_same_audience(hrefs: dict[str, str], audience: str):
    """A client in JavaScript that asks with URL.href gets a token for the audience that was registered."""
    assert audience_mistake(hrefs[audience]) is None
    assert canonical_audience(hrefs[audience]) == canonical_audience(audience)
