"""The document of an audience whose path is percent-encoded, through each proxy (RFC 9728 3.1)."""

import re

import pytest

from tests.support.proxies.certificates import World
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.rows import ROWS, Row
from tests.support.tokens import API

ASKING = [row for row in ROWS if not row.is_guarded and row.protocol == "http"]
AUDIENCE = API + "/caf%c3%a9/a%20b/<x>/v~1/"
CANONICAL = API + "/caf%C3%A9/a%20b/%3Cx%3E/v~1/"


def said(stand: Stand, path: str) -> str:
    return stand.say(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).text.decode("latin-1")


@pytest.mark.parametrize("row", ASKING, ids=lambda row: row.name)
def test_the_challenge_leads_to_the_document(row: Row, world: World):
    """A client that follows the challenge gets the document through the proxy, at this path alone."""
    with make_stand(row, world, audience=AUDIENCE) as stand:
        found = re.search(r'resource_metadata="([^"]*)"', said(stand, "/invoices"))
        assert found is not None
        target = found[1].removeprefix(API)
        assert target == "/.well-known/oauth-protected-resource" + CANONICAL.removeprefix(API)
        document = f'"resource":"{CANONICAL}"'
        assert document in said(stand, target)
        assert document not in said(stand, target.replace("a%20b", "a%2520b"))
        assert document not in said(stand, target.replace("/v~1/", "/v~1"))
