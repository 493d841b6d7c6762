"""A question whose head came before gets the answer that it would get if it were the first one."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.known_heads import LONGEST_HEAD, MOST_HEADS, KnownHeads
from macaroon_cbat.macaroon.caveats import Expiry
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.gateway_in_process import deciding_by, opened
from tests.support.gateway_tokens import good
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import KEYS

SECRET = "0123456789abcdef"
Deciding = Callable[[], Dispatcher]


@pytest.fixture(scope="module")
def holders(tmp_path_factory: pytest.TempPathFactory) -> list[Client]:
    return [make_client(tmp_path_factory.mktemp("clients"), name) for name in ("holder", "thief")]


def decided_by(folder: Path, secret: str = SECRET) -> Dispatcher:
    """Decide, with nothing known, for an nginx that knows this secret."""
    (folder / "keys.json").write_bytes(write_key_file(KEYS))
    (folder / "proxy.secret").write_text(secret)
    for name in ("keys.json", "proxy.secret"):
        (folder / name).chmod(0o600)
    proxy = {"kind": "nginx", "trust": ["unix"], "secret_file": "proxy.secret"}
    return deciding_by(folder, proxy, keys="keys.json")


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Deciding:
    """Return a function that starts to decide."""
    folder = tmp_path_factory.mktemp("policy")
    return lambda: decided_by(folder)


def pem(client: Client) -> str:
    return quote(ssl.DER_cert_to_PEM_cert(client.der), safe="")


def question(
    token: str,
    certificate: str,
    uri: str = "/invoices/7",
    *,
    start: str = "GET / HTTP/1.1",
    method: str = "GET",
    secret: str = SECRET,
    more: str = "",
) -> bytes:
    """Return a question as nginx writes it."""
    return (
        f"{start}\r\nHost: x\r\nClientcert: {certificate}\r\nClientcertverify: SUCCESS\r\n"
        f"Proxysecret: {secret}\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Method: {method}\r\n"
        f"Authorization: Bearer {token}\r\nX-Forwarded-Uri: {uri}\r\n{more}\r\n"
    ).encode("latin-1")


def answers(dispatcher: Dispatcher, *questions: bytes) -> list[bytes]:
    """Return what each of the questions gets, one after the other, each over a connection of its own."""

    async def ask() -> list[bytes]:
        found = []
        for one in questions:
            async with opened(dispatcher) as asked:
                asked.comes(one)
                found.append(await asked.takes())
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ask())


def statuses(dispatcher: Dispatcher, *questions: bytes) -> list[int]:
    return [int(answer[9:12]) for answer in answers(dispatcher, *questions)]


def known(dispatcher: Dispatcher) -> KnownHeads:
    return dispatcher.in_force.gateway.heads


def test_the_children_of_a_token_have_one_head(deciding: Deciding, holders: list[Client]):
    """Other tokens and targets come with a known head; the rule is that of the target each time."""
    asked, (holder, _) = deciding(), holders
    uris = ["/invoices", "/invoices/7?page=2", "/admin", "/none", "/health", "/invoices//7", "/invoices?a b"]
    children = [good(holder.der, Expiry(2_000_000_000 + number)) for number in range(len(uris))]
    questions = [question(child, pem(holder), uri) for child, uri in zip(children, uris, strict=True)]
    assert statuses(asked, *questions, *questions) == [200, 200, 403, 403, 200, 403, 403] * 2
    assert len(known(asked)) == 1


def test_a_known_head_admits_no_other_token(deciding: Deciding, holders: list[Client]):
    """A token of another client, an expired one and a forged one are refused behind a known head."""
    asked, (holder, thief) = deciding(), holders
    first = good(holder.der)
    forged = first[:-4] + ("AAAA" if first[-4:] != "AAAA" else "BBBB")
    tokens = [first, good(thief.der), good(holder.der, Expiry(1)), forged, good(None), "", first]
    assert statuses(asked, *[question(one, pem(holder)) for one in tokens]) == [200, *[401] * 5, 200]


def test_another_certificate_is_another_head(deciding: Deciding, holders: list[Client]):
    """A thief with the holder's token has a head of its own, which the holder's does not help."""
    asked, (holder, thief) = deciding(), holders
    token = good(holder.der)
    assert statuses(asked, question(token, pem(holder)), question(token, pem(thief))) == [200, 401]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (SECRET, "0123456789abcdeF"),
        (f"Proxysecret: {SECRET}\r\n", ""),
        ("Clientcertverify: SUCCESS", "Clientcertverify: NONE"),
        ("X-Forwarded-Method: GET", "X-Forwarded-Method: TRACE"),
        ("X-Forwarded-Method: GET", "X-Forwarded-Method: get"),
        ("X-Forwarded-Uri:", "X-Forwarded-Uri: /health\r\nX-Forwarded-Uri:"),
        ("\r\n\r\n", "\r\nX-Forwarded-Uri: /health\r\n\r\n"),
        ("\r\n\r\n", "\r\nAuthorization: Bearer x\r\n\r\n"),
        ("\r\n\r\n", "\r\nX_Forwarded-Uri: /health\r\n\r\n"),
        ("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("\r\n\r\n", "\r\nContent-Length: 4\r\n\r\nGET "),
        ("GET / HTTP/1.1", "GET /.well-known/oauth-protected-resource HTTP/1.1"),
        ("GET / HTTP/1.1", "GET /x HTTP/1.1"),
        ("Bearer ", "Bearer \r"),
        ("Bearer ", "Bearer \n"),
        ("Bearer ", "Bearer \0"),
        ("Bearer ", "Bearer x, Bearer "),
        ("Bearer ", "Basic "),
        ("/invoices/7", "/invoices/7\r"),
        ("/invoices/7", "/invoices/7\nProxysecret: x"),
        ("/invoices/7", "/invoices/7 HTTP/1.1"),
        ("/invoices/7", "/invoices/\xa0"),
        ("/invoices/7", ""),
    ],
)
def test_a_question_that_differs_is_refused(deciding: Deciding, holders: list[Client], text: str, other: str):
    """A difference from a question with a known head is read as it stands, and refused."""
    asked, (holder, _) = deciding(), holders
    first = question(good(holder.der), pem(holder))
    differing = first.replace(text.encode(), other.encode("latin-1"), 1)
    assert differing != first
    assert statuses(asked, first, first) == [200, 200]
    assert statuses(asked, differing)[0] in {400, 401, 403}


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "HEAD / HTTP/1.1"},
        {"start": "GET / HTTP/1.0"},
        {"start": "GET /?a HTTP/1.1"},
        {"more": "Connection: close\r\n"},
        {"more": "Macaroons: W10\r\n"},
        {"more": f"X: {'a' * LONGEST_HEAD}\r\n"},
        {"uri": "/none"},
    ],
    ids=str,
)
def test_an_unusual_question_leaves_nothing(
    deciding: Deciding, holders: list[Client], changes: dict[str, str]
):
    """A question that ends its connection, has another form, or is refused leaves no head."""
    asked, (holder, _) = deciding(), holders
    answers(asked, question(good(holder.der), pem(holder), **changes))
    assert len(known(asked)) == 0


def test_a_piece_is_no_question(deciding: Deciding, holders: list[Client]):
    """A known head that comes behind half a question, or with a second one, is a part of the bytes."""
    asked, (holder, _) = deciding(), holders
    whole = question(good(holder.der), pem(holder))
    assert statuses(asked, whole) == [200]

    async def ask() -> bytes:
        async with opened(asked) as one:
            one.comes(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
            one.comes(whole)
            return await one.takes()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert answers(asked, whole + whole)[0].count(b"HTTP/1.1 200") == 2


def test_the_memory_of_heads_is_bounded(deciding: Deciding, holders: list[Client]):
    """However many heads come, the last ones are kept."""
    asked, (holder, _) = deciding(), holders
    token = good(holder.der)
    numbered = [
        question(token, pem(holder), more=f"X: {number}\r\n") for number in range(2 * MOST_HEADS + 99)
    ]
    assert set(statuses(asked, *numbered)) == {200}
    assert MOST_HEADS < len(known(asked)) <= 2 * MOST_HEADS


def test_a_reload_forgets_heads(tmp_path: Path, holders: list[Client]):
    """The sender that an old policy trusted is judged by the new one."""
    asked, (holder, _) = decided_by(tmp_path), holders
    one = question(good(holder.der), pem(holder))
    assert statuses(asked, one, one) == [200, 200]
    asked.in_force = decided_by(tmp_path, SECRET[::-1]).in_force
    assert statuses(asked, one) == [403]


def test_a_head_is_of_one_sender(deciding: Deciding, holders: list[Client]):
    """The head of one address is not known of another, which may not be trusted."""
    asked, (holder, _) = deciding(), holders
    one = question(good(holder.der), pem(holder))
    assert statuses(asked, one) == [200]
    assert known(asked).find(one, None) is not None
    assert known(asked).find(one, "192.0.2.9") is None


PARTS = [
    "\r\n", "\n", "\r", " ", "\t", ":", ",", "\0", "\x01", "\x7f", "\x85", "\xa0", "é",
    "Authorization: Bearer ", "X-Forwarded-Uri: ", "/invoices",
]  # fmt: skip


@pytest.mark.parametrize("uri", ["/invoices/7", "/health"])
@given(
    before=st.lists(st.sampled_from(PARTS), max_size=6), behind=st.lists(st.sampled_from(PARTS), max_size=6)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_known_head_decides_as_the_parser(
    deciding: Deciding, holders: list[Client], uri: str, before: list[str], behind: list[str]
):
    """Behind a known head, any text in the two fields gets the answer that it gets from the parser."""
    warm, (holder, _) = deciding(), holders
    first = question(good(holder.der), pem(holder))
    changed = question("".join(before) + good(holder.der), pem(holder), uri + "".join(behind))
    assert statuses(warm, first) == [200]
    assert answers(warm, changed) == answers(deciding(), changed)
