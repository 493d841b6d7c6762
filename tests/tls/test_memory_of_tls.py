"""The memory that TLS itself takes for a client: handshakes, chains of certificates, and parts of records."""

import pytest

from macaroon_cbat.tls.record_lengths import RecordLengths
from tests.support.stepped_loop import stepped
from tests.support.tls_servers import make_client

CLIENTS = 20
LIMIT = 1 << 21
LENGTH = 120
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path):
    with stepped(tmp_path, connections=CLIENTS, pending_bytes=LIMIT) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chains")


@pytest.fixture(scope="module")
def heavy(folder):
    """Make a certificate with a chain that no honest client has, within what a handshake may have."""
    link = make_client(folder, "l")
    return make_client(folder, "heavy", chain=(link,) * LENGTH).file


@pytest.fixture(scope="module")
def ordinary(folder):
    """Make a certificate with two intermediates."""
    root = make_client(folder, "root", is_authority=True)
    issuer = make_client(folder, "issuer", issuer=root, is_authority=True)
    return make_client(folder, "ordinary", issuer=issuer, chain=(issuer, root)).file


def test_an_ordinary_chain_is_free(server, ordinary):
    """An honest client's handshake counts nothing, with or without a certificate and its intermediates."""
    assert [server.client(shown).connection.held_bytes() for shown in (None, ordinary)] == [0, 0]
    assert server.loop.holdings.held_bytes == 0


def test_a_long_chain_counts_while_the_connection_lives(server, heavy):
    """Memory that OpenSSL keeps for a chain counts on the idle connection too, before and after a request."""
    client = server.client(heavy)
    before = client.connection.held_bytes()
    assert before > LENGTH * 3_000
    client.send(REQUEST)
    server.serve()
    assert client.look().startswith(b"HTTP/1.1 200 ")
    assert client.connection.held_bytes() == before
    assert server.loop.holdings.held_bytes == before
    client.connection.drop()
    assert client.connection.held_bytes() == server.loop.holdings.held_bytes == 0


def test_idle_connections_with_long_chains_are_closed(server, heavy, ordinary):
    """All chains together stay within the bound: idle connections go without a word."""
    honest = server.client(ordinary)
    attackers = [server.client(heavy) for _ in range(CLIENTS - 1)]
    assert server.loop.holdings.held_bytes <= LIMIT
    assert honest.is_served
    gone = [client for client in attackers if not client.is_served]
    assert len(gone) > CLIENTS // 2
    assert [client.received for client in gone] == [b""] * len(gone)


def test_a_chain_counts_before_the_handshake_is_complete(server, heavy):
    """A client that stops short of its last message is charged for the chain that was parsed already."""
    client = server.caller(heavy)
    client.step()
    client.send_records(client.unsent())
    client.step()
    client.send_records(client.unsent()[:-20])
    assert not client.connection._session.established
    assert client.connection.held_bytes() > LENGTH * 3_000
    assert server.loop.holdings.held_bytes == client.connection.held_bytes()


def test_a_request_in_the_same_breath_is_served(server, folder):
    """The largest certificate is served although its handshake and a request come at once."""
    client = server.caller(make_client(folder, "largest", padding=32_300).file)
    client.step()
    client.send_records(client.unsent())
    client.step()
    client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
    client.send_records(client.unsent())
    server.serve()
    assert client.look().startswith(b"HTTP/1.1 200 ")


def test_a_part_of_a_record_counts(server):
    """Bytes of a record that is not whole count although they bring no plaintext, and are freed with it."""
    client = server.client()
    client.write(b"x" * 16_000)
    record = client.unsent()
    client.send_records(record[:15_000])
    assert client.connection.held_bytes() >= 15_000
    assert server.loop.holdings.held_bytes == client.connection.held_bytes()
    client.send_records(record[15_000:])
    assert client.connection.held_bytes() == 16_000


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 7, 50, 105, 106, 1000])
def test_records_are_told_apart_however_they_come(step):
    """However a stream is cut, what is held is what came after the last whole record."""
    stream = b"".join(b"\x17\x03\x03" + size.to_bytes(2) + b"\x05" * size for size in (0, 1, 100, 4, 600))
    ends = [0, 5, 11, 116, 125, 730]
    records = RecordLengths()
    held = []
    for at in range(0, len(stream), step):
        records.received(stream[at : at + step])
        held.append(records.held_bytes)
    seen = [min(at + step, len(stream)) for at in range(0, len(stream), step)]
    assert held == [at - max(end for end in ends if end <= at) for at in seen]
