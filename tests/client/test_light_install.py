"""The imports of a light install: an HTTP library is needed for its own sessions alone."""

import pytest

from tests.support.installations import run_with

LIBRARIES = {"requests", "urllib3", "httpx", "aiohttp"}


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("macaroon_cbat.client", set()),
        ("macaroon_cbat.client.service_calls", set()),
        ("macaroon_cbat.resource.introspection", set()),
        ("macaroon_cbat.resource.feeds.key_feed", set()),
        ("macaroon_cbat.resource.feeds.revocation_feed", set()),
        ("macaroon_cbat.client.requests", {"requests", "urllib3"}),
        ("macaroon_cbat.client.httpx", {"httpx"}),
        ("macaroon_cbat.client.aiohttp", {"aiohttp"}),
        ("macaroon_cbat.client.dpop_requests", {"requests", "urllib3"}),
        ("macaroon_cbat.client.dpop_httpx", {"httpx"}),
        ("macaroon_cbat.client.dpop_aiohttp", {"aiohttp"}),
    ],
)
def test_an_http_library_is_needed_only_for_its_sessions(module: str, needs: set[str]) -> None:
    """A module can be imported where no HTTP library but its own is installed."""
    missing = sorted(LIBRARIES - needs)
    done = run_with(["all"], f"sys.modules.update(dict.fromkeys({missing!r})); import {module}")
    assert done.returncode == 0, done.stderr
