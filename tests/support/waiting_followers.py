"""Requests that wait for a revocation, each in a thread of the test: parked as by our server, or held."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from werkzeug.test import EnvironBuilder, TestResponse

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.server.parking import PARK, Park, ParkedResponse
from macaroon_cbat.service.following.followers import Followers
from macaroon_cbat.service.resource_feeds import FEEDS
from tests.support.certificates import Identity
from tests.support.patience import SECONDS
from tests.support.resource_server import token_for_service
from tests.support.service import Service
from tests.support.tls_servers import wait_until

PATH = "/resource/revocations"


class Waiting:
    """One request that waits, and what ends it."""

    def __init__(self) -> None:
        """Begin with a request that was not parked yet."""
        self.parked: ParkedResponse | None = None
        self.ends: Future[tuple[int, Any]] = Future()
        self._answered = threading.Event()

    def park(self, seconds: float, on_end: Any, holder: str = "") -> ParkedResponse:
        """Park the response as the embedded server does."""
        self.parked = ParkedResponse(seconds, on_end, self._answered.set)
        return self.parked

    def finished(self) -> tuple[int, Any]:
        """Return the status and the JSON of the parked response, once it is finished."""
        assert self._answered.wait(SECONDS)
        assert self.parked is not None
        assert self.parked.answer is not None
        fields = dict(self.parked.answer.fields)
        assert (fields["Content-Type"], fields["Cache-Control"]) == ("application/json", "no-store")
        return int(self.parked.answer.status[:3]), json.loads(self.parked.answer.body)

    def end(self) -> None:
        """Let the server end the wait, as after its time."""
        assert self.parked is not None
        self.parked.end_wait()

    def answer(self) -> tuple[int, Any]:
        """Return status and JSON of the response."""
        return self.ends.result(SECONDS)

    def values(self) -> list[str]:
        """Return the names of the decisions of the page."""
        status, page = self.answer()
        assert status == 200, page
        return [value for _, value, _, _ in page["decisions"]]


def _answers_itself(status: str, _fields: object) -> Any:
    raise AssertionError(f"it answered {status}, and parked nothing")


class WaitingFollowers:
    """The followers of one service, which a test lets wait."""

    def __init__(self, service: Service, certificate: Identity, *, parks: bool) -> None:
        """Let responses be parked, or threads be held."""
        self.service, self.certificate, self.parks = service, certificate, parks
        self._pool = ThreadPoolExecutor(8)

    @property
    def registered(self) -> Followers:
        """The followers as the service has them."""
        found: Followers = self.service.app.extensions[FEEDS].followers
        return found

    def ask(self, after: str = "0", client: str = "invoices", token: str | None = None) -> TestResponse:
        """Ask for the page after a cursor."""
        request = self.request(token or token_for_service(self.service, client), after=after)
        return self.service.app.test_client().open(request)

    def request(self, token: str, **query: object) -> EnvironBuilder:
        """Return a request to the feed over the certificate's connection."""
        child = attenuate(token, [confirmation(self.certificate.thumbprint)])
        headers = {"Authorization": f"Bearer {child}"}
        overrides = {PEER_CERTIFICATE: self.certificate.der}
        return EnvironBuilder(PATH, headers=headers, query_string=query, environ_overrides=overrides)

    def begin(
        self, after: str | None = None, client: str = "invoices", token: str | None = None, wait: int = 30
    ) -> Waiting:
        """Return a request that waits by now; from the newest revocation on, unless `after` says so."""
        token = token or token_for_service(self.service, client)
        after = after or self.ask(token=token).json["cursor"]
        waiting, before = Waiting(), len(self.registered)
        request = self.request(token, after=after, wait=wait)
        until_its_end = self._until_parked_ends if self.parks else self._until_held_ends
        waiting.ends = self._pool.submit(until_its_end, waiting, request)
        wait_until(lambda: len(self.registered) == before + 1 or waiting.ends.done())
        return waiting

    def _until_held_ends(self, _waiting: Waiting, request: EnvironBuilder) -> tuple[int, Any]:
        answer = self.service.app.test_client().open(request)
        return answer.status_code, answer.json

    def ask_to_wait(self, park: Park) -> list[tuple[str, Any]]:
        """Ask the service to wait over a connection that parks so; return what it answers by itself."""
        token = token_for_service(self.service)
        request = self.request(token, after=self.ask(token=token).json["cursor"], wait=30)
        begun: list[str] = []
        answered = self.service.app(
            {**request.get_environ(), PARK: park}, lambda status, _fields: begun.append(status)
        )
        body = b"".join(answered)
        return [(status, json.loads(body)) for status in begun]

    def _until_parked_ends(self, waiting: Waiting, request: EnvironBuilder) -> tuple[int, Any]:
        body = b"".join(self.service.app({**request.get_environ(), PARK: waiting.park}, _answers_itself))
        assert body == b""
        return waiting.finished()

    def close(self) -> None:
        """End every wait."""
        self.service.app.extensions[FEEDS].close()
        self._pool.shutdown()
