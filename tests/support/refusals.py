"""The form of a refusal over HTTP."""

from tests.support.tls_servers import Answer


def assert_passes(answer: Answer) -> None:
    """Check the honest call, without which a refusal says nothing."""
    assert answer.status == 200, answer.body


def assert_refused(answer: Answer) -> None:
    """Check for 401 invalid_token, in JSON and in the challenge."""
    assert answer.status == 401, answer.body
    assert answer.json()["error"] == "invalid_token"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert answer.headers["cache-control"] == "no-store"
