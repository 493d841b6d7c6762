"""The sender of a question is judged once, on every way that a question can take."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.gateway.decision import Untrusted
from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.policy_in_force import load_policy, put_in_force
from macaroon_cbat.gateway.question import HttpQuestion
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource.responses import Answer
from tests.support.gateway_process import RULES, replace_policy
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, forwarded
from tests.support.tls_servers import Client
from tests.support.tokens import API, KEYS

SECRET = "0123456789abcdef"
URIS = {"a guarded path": ("/invoices", 200), "a public path": ("/health", 200), "no rule": ("/none", 403)}


class Watched(RawConnection):
    """A connection that counts how often each of its headers is read."""

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        super().__init__(fields, address=None, is_unix_socket=True)
        self.reads: Counter[str] = Counter()

    def header(self, name: str) -> str | None:
        """Count the read, and return what stands there."""
        self.reads[name] += 1
        return super().header(name)


@pytest.fixture
def dispatcher(tmp_path: Path) -> Dispatcher:
    (tmp_path / "proxy.secret").write_text(SECRET)
    (tmp_path / "proxy.secret").chmod(0o600)
    (tmp_path / "keys.json").write_bytes(write_key_file(KEYS))
    (tmp_path / "keys.json").chmod(0o600)
    proxy = {"kind": "haproxy", "trust": ["unix"], "secret_file": "proxy.secret"}
    fields = {"audience": API, "keys": "keys.json", "listen": {"http": "unix:x.sock"}}
    return Dispatcher(put_in_force(load_policy(replace_policy(tmp_path, RULES, **fields, proxy=proxy))))


def asked(uri: str, holder: Client, secret: str) -> Watched:
    """Return the connection of a proxy that asks about a good request for this path."""
    certificate = [("Clientcertx5t", thumbprint_of(DerCertificate(holder.der)))]
    told = forwarded(Asked(uri=uri, token=good(holder.der)), [*certificate, ("Proxysecret", secret)])
    return Watched([(name.encode(), value.encode()) for name, value in told])


def decided(dispatcher: Dispatcher, connection: Watched) -> Answer | Untrusted:
    decision = dispatcher.at_once(HttpQuestion(connection, "GET", "/"))
    assert decision is not None
    return decision


@pytest.mark.parametrize(("uri", "status"), URIS.values(), ids=URIS)
def test_trust_is_judged_once(dispatcher: Dispatcher, holder: Client, uri: str, status: int):
    """The proxy's secret, its word about method and target, and the token are each read once a question."""
    connection = asked(uri, holder, SECRET)
    decision = decided(dispatcher, connection)
    assert isinstance(decision, Answer)
    assert decision.status == status
    assert set(connection.reads.values()) == {1}
    assert connection.reads["Proxysecret"] == connection.reads["X-Forwarded-Uri"] == 1


@pytest.mark.parametrize("secret", ["", "0123456789abcdeF"], ids=["none", "another"])
@pytest.mark.parametrize(("uri", "status"), URIS.values(), ids=URIS)
def test_an_untrusted_sender_is_asked_nothing_else(
    dispatcher: Dispatcher, holder: Client, uri: str, status: int, secret: str
):
    """Of a sender that is not trusted nothing is read but what trust depends on."""
    connection = asked(uri, holder, secret)
    decision = decided(dispatcher, connection)
    assert isinstance(decision, Untrusted)
    assert decision.answer.status == 403
    assert connection.reads == {"Proxysecret": 1}


def test_an_untrusted_sender_stays_so_in_a_thread(dispatcher: Dispatcher, holder: Client):
    """The decision in a thread says Untrusted as that in the event loop does."""
    question = HttpQuestion(asked("/health", holder, ""), "GET", "/")
    assert isinstance(asyncio.run(dispatcher.after_waiting(question)), Untrusted)
