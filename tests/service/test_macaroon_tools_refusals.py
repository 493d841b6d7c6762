"""Refusals of inspect and restrict: every mistake is invalid_request, in JSON, with one line in the log."""

import json

import pytest

from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.macaroon_tools import raw, restrict
from tests.support.pingam import PINGAM
from tests.support.service import refused


@pytest.mark.parametrize(
    "caveat",
    [
        pytest.param('{"colour":"blue"}', id="unknown"),
        pytest.param('{"exp":1,"role":2}', id="a second member that is unknown"),
        pytest.param("{}", id="no member"),
        pytest.param('{"scope":"a","scope":"b"}', id="a repeated key"),
        pytest.param('{"cnf":{"x5t#S256":"a","x5t#S256":"b"}}', id="a repeated key inside"),
        pytest.param('{"exp":"1767222060"}', id="a number as text"),
        pytest.param('{"exp":1e999}', id="an infinite number"),
        pytest.param('{"exp":' + "9" * 30 + "}", id="a huge number"),
        pytest.param('{"exp":' + "9" * 5000 + "}", id="a number of 5,000 digits"),
        pytest.param('{"scope":"\\ud800"}', id="half a character"),
        pytest.param('{"scope":""}', id="an empty scope"),
        pytest.param('{"cnf":{"x5t#S256":"' + "ab" * 32 + '"}}', id="a thumbprint in hex"),
        pytest.param('"scope = read"', id="text"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="an array"),
        pytest.param("7", id="a number"),
        pytest.param('{"type":"third-party","identifier":{"scope":"a"}}', id="wrapped as third-party"),
        pytest.param('{"type":"first-party","identifier":{"scope":"a"},"x":1}', id="wrapped with more"),
        pytest.param('{"type":"first-party"}', id="wrapped without content"),
        pytest.param(
            '{"type":"first-party","identifier":{"scope":"a"},"identifier":{"scope":"b"}}', id="wrapped twice"
        ),
        pytest.param("[" * 20_000 + "]" * 20_000, id="nested deeply"),
        pytest.param(
            '{"type":"first-party","identifier":' + "[" * 9000 + "]" * 9000 + "}", id="nested inside"
        ),
    ],
)
def test_a_caveat_that_no_verifier_could_read_is_refused(service, caveat):
    """A caveat that every verifier would refuse is refused here, before it is appended."""
    body = f'{{"macaroon":"{service.token()}","caveat":{caveat}}}'
    assert len(refused(raw(service, "/macaroon/restrict", body), 400, "invalid_request")) < 300


@pytest.mark.parametrize("path", ["/macaroon/inspect", "/macaroon/restrict"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="half an object"),
        pytest.param("[]", id="an array"),
        pytest.param("{}", id="no macaroon"),
        pytest.param('{"macaroon":null}', id="null"),
        pytest.param('{"macaroon":7}', id="a number"),
        pytest.param('{"macaroon":"x","colour":"blue"}', id="an unknown member"),
        pytest.param('{"macaroon":"x","a\\nERROR forged":1}', id="a member of two lines"),
        pytest.param(
            f'{{"macaroon":"{PINGAM}","macaroon":"{PINGAM}","caveat":{{"exp":1}}}}', id="a repeated key"
        ),
        pytest.param('{"macaroon":"\\ud800","caveat":{"exp":1}}', id="half a character"),
        pytest.param('{"macaroon":"\u00e4","caveat":{"exp":1}}', id="a macaroon not in ASCII"),
        pytest.param('{"macaroon":"","caveat":{"exp":1}}', id="an empty macaroon"),
        pytest.param('{"macaroon":"AgE","caveat":{"exp":1}}', id="half a macaroon"),
        pytest.param('{"macaroon":"' + "A" * 9000 + '","caveat":{"exp":1}}', id="a long macaroon"),
        pytest.param('{"macaroon":"' + PINGAM + '===","caveat":{"exp":1}}', id="too much padding"),
        pytest.param('{"macaroon":"\\"' + PINGAM + '\\"","caveat":{"exp":1}}', id="a quoted macaroon"),
        pytest.param(b'{"macaroon":"\xff"}', id="no UTF-8"),
        pytest.param("[" * 60_000, id="nested deeply"),
        pytest.param('{"x":' + "[" * 60_000, id="nested deeply inside"),
    ],
)
def test_a_malformed_request_is_refused(service, caplog, path, body):
    """A body that is not exactly the expected JSON is invalid_request, with one line in the log."""
    with caplog.at_level("INFO", "macaroon_cbat"):
        refused(raw(service, path, body), 400, "invalid_request")
    [record] = caplog.records
    assert record.getMessage().isprintable()


def test_nothing_to_append_is_refused(service):
    """A request that restricts nothing is refused."""
    for body in ({}, {"bind": None}):
        answer = restrict(service, macaroon=service.token(), **body)
        assert "there is nothing to append" in refused(answer, 400, "invalid_request")
    for bind in ("certificate", "", True, {}):
        refused(restrict(service, macaroon=service.token(), bind=bind), 400, "invalid_request")


def test_a_child_beyond_the_limits_is_refused(service):
    """A macaroon that has 100 caveats, as many as are read, gets no further one."""
    token = attenuate(service.token(), [Scope("read")] * 100)
    answer = restrict(service, macaroon=token, caveat={"scope": "read"})
    assert "at most 100 caveats" in refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("path", ["/macaroon/inspect", "/macaroon/restrict"])
def test_only_json_by_post_is_read(service, path):
    """Other methods are 405, other content types 415, large bodies 413, all in JSON."""
    refused(service.open(path, method="GET"), 405, "method_not_allowed")
    refused(service.open(path, data={"macaroon": PINGAM}), 415, "invalid_request")
    refused(service.open(path, data="{}", content_type="text/json"), 415, "invalid_request")
    large = json.dumps({"macaroon": "A" * 70_000})
    refused(raw(service, path, large), 413, "request_too_large")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"macarooon": "x"}, "macarooon is unknown: correct its name, or leave it out"),
        ({}, "macaroon is missing: add it"),
        ({"macaroon": 5}, "macaroon is a whole number: write text"),
    ],
)
def test_a_body_that_does_not_fit_is_said_in_words(service, body, words):
    """A body of another shape is told which member is wrong, in words and not in those of a library."""
    told = refused(raw(service, "/macaroon/inspect", json.dumps(body)), 400, "invalid_request")
    assert told == f"the JSON body does not fit: {words}"
