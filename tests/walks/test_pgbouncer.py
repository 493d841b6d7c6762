"""The service on PostgreSQL behind a real PgBouncer."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import requests

from tests.support.followed_service import Realm
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql import Postgres
from tests.support.service_process import API, on_a_server

BURST = 120
MODES = [
    pytest.param({"pool_mode": "transaction"}, id="transaction"),
    pytest.param({"pool_mode": "transaction", "default_pool_size": 2}, id="transaction, two connections"),
    pytest.param({"pool_mode": "session", "default_pool_size": 60}, id="session"),
]


@pytest.fixture(params=MODES)
def pooled(request: pytest.FixtureRequest, shared_postgresql: Postgres, tmp_path: Path) -> Iterator[Realm]:
    """Register everybody on a database that the service reaches through PgBouncer alone."""
    with pgbouncer(shared_postgresql, **request.param) as through:
        yield Realm(tmp_path, on_a_server(through(shared_postgresql.new_database())))


def test_a_burst_of_revocations_is_made(pooled: Realm):
    """120 clients that revoke a token each at once get 120 times 200, and the tokens are refused."""
    service, all_there = pooled.service, Barrier(BURST)
    credentials = {"client_id": "billing", "client_secret": pooled.billing}

    def post(path: str, **form: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(service.ca)
            return session.post(service.issuer + path, data=credentials | form, timeout=60)

    def revoke(token: str) -> int:
        all_there.wait()
        return post("/oauth2/revoke", token=token).status_code

    def minted() -> str:
        answer = post("/oauth2/token", grant_type="client_credentials", resource=API)
        token: str = answer.json()["access_token"]
        return token

    with service.running("--workers", "2"), ThreadPoolExecutor(BURST) as pool:
        tokens = [minted() for _ in range(BURST)]
        assert Counter(pool.map(revoke, tokens)) == {200: BURST}
        active = [post("/oauth2/introspect", token=token).json()["active"] for token in tokens[:10]]
    assert active == [False] * 10
