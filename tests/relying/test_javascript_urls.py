"""Audiences as JavaScript's URL writes them are the same audiences (WHATWG URL, RFC 3986 6.2.2, 6.2.3)."""

import json
import subprocess

import pytest

from macaroon_cbat.macaroon.audiences import audience_mistake, canonical_audience
from tests.support.audiences import SAME
from tests.support.tls_servers import SECONDS

REGISTERED = sorted({text for pair in SAME.values() for text in pair})


def hrefs(texts: list[str]) -> list[str]:
    """Return what JavaScript sends for these URLs."""
    program = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(text => new URL(text).href)))"
    command = ["node", "-e", program, json.dumps(texts)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("audience", REGISTERED)
def test_an_href_is_the_same_audience(audience: str):
    """A client in JavaScript that asks with URL.href gets a token for the audience that was registered."""
    [href] = hrefs([audience])
    assert audience_mistake(href) is None
    assert canonical_audience(href) == canonical_audience(audience)
