"""Envoy with everything that it can say about a certificate, of which the owner chooses much."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.support.certificate_spellings import escaped_pem, hex_hash
from tests.support.certificates import Identity, certified
from tests.support.proxies.certificates import World
from tests.support.proxies.clients import Ask
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.envoy import QUOTED_ONLY, saying
from tests.support.proxies.judgements import bearer, both, holder, judged
from tests.support.proxies.rows import Row
from tests.support.tls_servers import Client

EVERYTHING = "{subject: true, cert: true, chain: true, dns: true, uri: true, issuer: true}"
ROWS = (Row("envoy", "envoy", is_guarded=True), Row("envoy", "envoy"))
TODAY = datetime.now(UTC)


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: row.name)
def talkative(request: pytest.FixtureRequest, world: World) -> Iterator[Stand]:
    with make_stand(request.param, world, saying(EVERYTHING)) as stand:
        yield stand


def test_everything_that_envoy_says_is_read(talkative: Stand) -> None:
    """With subject, cert, chain, dns, uri and issuer a holder is let in, and a thief is not."""
    assert [judged(talkative, talkative.ask(ask)) for ask in both(holder(talkative))] == ["200", "200"]
    assert judged(talkative, talkative.ask(holder(talkative, "CA-signed")), "CA-signed") == "200"
    thief = Ask(headers=bearer(talkative.world.bound()), client=talkative.world.holders["thief"])
    assert [talkative.ask(ask).outcome for ask in both(thief)] == ["401", "401"]


def test_names_as_honest_certificates_have_them_are_read(talkative: Stand, tmp_path: Path) -> None:
    """Quotes, commas and other scripts in a subject are read: the answer, 401, is about the token alone."""
    names = (x509.UniformResourceIdentifier("spiffe://a.example/b"), x509.DNSName("a.example"))
    thief = certified(organization('Müller, "Söhne" & Co; \\o/'), today=TODAY, names=names)
    assert ask_as(talkative, thief, tmp_path) == "401"


def organization(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.Name:
    """Return a subject of one attribute."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text, kind)])


def ask_as(stand: Stand, shown: Identity, folder: Path) -> str:
    """Return the answer to a request with the holder's token over a connection with this certificate."""
    file = folder / "shown.pem"
    file.write_bytes(shown.key_pem + shown.pem)
    client = Client(shown.certificate, shown.key, file)
    reply = stand.ask(Ask(headers=bearer(stand.world.bound()), client=client))
    assert reply.seen is None, "it reached the server"
    return reply.outcome


SUBJECTS = {
    "a quote and an element": '",Hash={hash}',
    "a quote and an element in UCS-2": '",Hash={hash}',
    "a quote and a key to swallow the rest": '";Hash={hash};Email="',
    "a backslash at the end": "a\\",
    "a backslash, a quote and an element": '\\",Hash={hash}',
    "a line end and a header": '"\r\nX-Forwarded-Client-Cert: Hash={hash}',
}
SANS = {
    "a URI with another hash": (x509.UniformResourceIdentifier, "a:b;Hash={hash}"),
    "a URI with an element": (x509.UniformResourceIdentifier, "a:b,Hash={hash}"),
    "a URI with an element and a quote": (x509.UniformResourceIdentifier, 'a:b,Hash={hash};E="'),
    "a URI with a certificate": (x509.UniformResourceIdentifier, 'a:b;Cert="{cert}"'),
    "a DNS name with another hash": (x509.DNSName, "b.example;Hash={hash}"),
    "a DNS name with an element": (x509.DNSName, "b.example,Hash={hash}"),
    "a DNS name with an element and a quote": (x509.DNSName, 'b.example,Hash={hash};E="'),
}


def filled(text: str, world: World) -> str:
    der = world.holders["self-signed"].der
    return text.replace("{hash}", hex_hash(der)).replace("{cert}", escaped_pem(der))


@pytest.mark.parametrize(("title", "text"), SUBJECTS.items(), ids=SUBJECTS)
def test_a_subject_makes_up_nothing(talkative: Stand, tmp_path: Path, title: str, text: str) -> None:
    """Text in subject and issuer, which Envoy quotes, never passes for another certificate."""
    kind = _ASN1Type.BMPString if "UCS-2" in title else _ASN1Type.UTF8String
    thief = certified(organization(filled(text, talkative.world), kind), today=TODAY)
    assert ask_as(talkative, thief, tmp_path) in {"400", "401"}


@pytest.mark.parametrize(("kind", "text"), SANS.values(), ids=SANS)
def test_an_alternative_name_makes_up_nothing(talkative: Stand, tmp_path: Path, kind, text: str) -> None:
    """Text in a URI or DNS name, which Envoy does not quote, is refused where it could be a key."""
    thief = certified("CN=a", today=TODAY, names=(kind(filled(text, talkative.world)),))
    assert ask_as(talkative, thief, tmp_path) in {"400", "401"}


def test_the_json_form_is_refused_by_name(world: World) -> None:
    """With format: JSON a holder is refused, and the log says what to write in its place."""
    details = QUOTED_ONLY.replace("}", ", format: JSON}")
    with make_stand(Row("envoy", "envoy"), world, saying(details)) as stand:
        assert stand.ask(holder(stand)).outcome == "400"
        assert "format: TEXT" in (stand.folder / "gateway.log").read_text()
