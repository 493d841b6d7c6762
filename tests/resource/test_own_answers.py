"""The answer to one question is never taken for that to another: late, interim, unasked or cut ones."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import InvalidToken, Unavailable
from macaroon_cbat.resource import Introspection
from tests.support.feeds import Feeding
from tests.support.forged_tokens import forged
from tests.support.guarded_app import CERTIFICATE, THIEF, bound, call, make_app
from tests.support.introspecting import asking
from tests.support.silent_services import Silent, silent_service
from tests.support.tokens import ACCESS, API, GRANT

YES, NO = (json.dumps({"active": active, "jti": GRANT.jti}).encode() for active in (True, False))


def answer(body: bytes, status: str = "200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body) + more


def about(question: bytes) -> bytes:
    """Answer as a service that knows the honest token."""
    return YES if b"token=" + bound().encode() + b"&" in question + b"&" else NO


Spoiled = Callable[[Silent, object, bytes], None]


def late(service: Silent, connection, honest: bytes) -> None:
    """Answer only after the resource server has given up."""
    service.is_over.wait(2.5)
    connection.sendall(honest)


def interim(service: Silent, connection, honest: bytes) -> None:
    """Send an interim answer first, and the true one a moment later."""
    connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    service.is_over.wait(0.2)
    connection.sendall(honest)


def unasked(_service: Silent, connection, honest: bytes) -> None:
    """Send a second, unrequested answer in a record of its own."""
    connection.sendall(honest)
    connection.sendall(answer(YES))


def unasked_and_long(_service: Silent, connection, honest: bytes) -> None:
    """Send it in the same record, behind more than one reader's buffer."""
    connection.sendall(honest + b" " * 9000 + answer(YES))


def with_a_body(_service: Silent, connection, honest: bytes) -> None:
    """Send a body with an answer that has none: it looks like the next answer."""
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" + honest)


def too_long(_service: Silent, connection, honest: bytes) -> None:
    """Send more than is read, with an answer in it."""
    connection.sendall(answer(b" " * 65_537 + honest))


def failing(_service: Silent, connection, honest: bytes) -> None:
    """Send an error, and an answer behind it."""
    connection.sendall(answer(b"{}", "500 Internal Server Error", more=honest))


@pytest.mark.parametrize(
    "spoil",
    [late, interim, unasked, unasked_and_long, with_a_body, too_long, failing],
    ids=lambda spoil: spoil.__name__,
)
def test_the_next_question_gets_its_own_answer(tmp_path: Path, spoil: Spoiled):
    """An answer about an honest token that a connection still brings never speaks for a forged one."""
    spoiled = threading.Event()

    def temper(service: Silent, connection) -> None:
        while question := service.read(connection):
            if len(service.asked) == 1:
                with suppress(OSError):
                    spoil(service, connection, answer(about(question)))
                spoiled.set()
            else:
                connection.sendall(answer(about(question)))

    with silent_service(tmp_path, temper) as service:
        verifier = Introspection(service.url, API, "api", "s3cret", ca=service.ca, timeout=2)
        with suppress(Unavailable):
            verifier.verify(bound(), ACCESS, require_certificate=True)
        assert spoiled.wait(60)
        for _ in range(3):
            with pytest.raises((InvalidToken, Unavailable)):
                verifier.verify(forged(bound()), ACCESS, require_certificate=True)
        assert verifier.verify(bound(), ACCESS, require_certificate=True).client_id == "billing"


def test_a_connection_serves_one_thread_at_a_time(tmp_path: Path):
    """Threads that ask at once have a connection each, which is used again, and no answer is mixed up."""
    connections, gate = [], threading.Barrier(4)

    def temper(service: Silent, connection) -> None:
        connections.append(connection)
        gate.wait(60)
        while question := service.read(connection):
            connection.sendall(answer(about(question)))

    def ask(verifier: Introspection, number: int, results: list[bool]) -> None:
        for _ in range(25):
            try:
                verifier.verify(bound() if number % 2 else forged(bound()), ACCESS, require_certificate=True)
                results.append(number % 2 == 1)
            except InvalidToken:
                results.append(number % 2 == 0)

    with silent_service(tmp_path, temper) as service:
        verifier = Introspection(service.url, API, "api", "s3cret", ca=service.ca, most_asking=4)
        results: list[bool] = []
        threads = [threading.Thread(target=ask, args=(verifier, n, results)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 100
        assert len(connections) == 4
        verifier.close()


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(tmp_path: Path):
    """A service that closes idle connections, as they all do, costs no request."""

    def temper(service: Silent, connection) -> None:
        connection.sendall(answer(about(service.read(connection))))

    with silent_service(tmp_path, temper) as service:
        app = make_app(verifier=Introspection(service.url, API, "api", "s3cret", ca=service.ca))
        assert [call(app, bound()).status_code for _ in range(5)] == [200] * 5
        assert len(service.asked) == 5


def test_an_answer_is_remembered_for_its_certificate_only(alone: Feeding):
    """A token that was active over one certificate is asked about anew over another, perhaps revoked one."""
    with alone.service.running():
        token = alone.service.client("billing", alone.secrets["billing"], resource=API)()
        app = asking(alone, 300, require_certificate=False)
        alone.revoke("certificate", thumbprint_of(DerCertificate(CERTIFICATE)))
        assert call(app, token, certificate=THIEF).status_code == 200
        assert call(app, token, certificate=None).status_code == 200
        assert call(app, token, certificate=CERTIFICATE).status_code == 401
    assert call(app, token, certificate=THIEF).status_code == 200, "it is remembered, without the service"
    assert call(app, token, certificate=b"a third").status_code == 503


def test_an_answer_is_remembered_for_its_text_only(alone: Feeding):
    """A remembered answer about a token says nothing of one with another signature."""
    with alone.service.running():
        token = alone.token()
        app = asking(alone, 300)
        assert call(app, token).status_code == 200
        assert call(app, forged(token)).status_code == 401
    assert call(app, token).status_code == 200
    assert call(app, forged(token)).status_code == 503
