"""The memories of a gateway hold the readings of texts: each is bounded, and none admits a request."""

from base64 import b64encode
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.header_fields import layout_of, remembered_layout
from macaroon_cbat.certificate.header_source import HeaderSource
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import presented_certificate, remembered_presented
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import AmbiguousHeader, InvalidRequest, NoRule
from macaroon_cbat.gateway.envoy_question import remembered_certificate
from macaroon_cbat.gateway.rules import Rule, Rules
from tests.support.proxy_requests import Asked
from tests.support.tokens import CERTIFICATE, OTHER_CERTIFICATE

RULES = [Rule(path="/invoices", methods=("GET",), scope="read"), Rule(path="/invoices", scope="write")]


def sequence(content: bytes) -> bytes:
    """Return bytes that are one certificate, as far as a resource server looks at it."""
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


PEM = Asked(certificate=sequence(b"holder" * 50)).pem


def sent(*fields: tuple[str, str], address: str = "10.0.0.1") -> RawConnection:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return RawConnection(raw, address=address, is_unix_socket=False)


def test_a_remembered_path_has_another_rule_for_another_method():
    """The rule that was found for GET of a path is not that of POST, whichever came first."""
    rules = Rules(RULES)
    found = [rules.route(method, "/invoices/7").rule.scope for method in ("GET", "POST", "GET", "POST")]
    assert found == ["read", "write", "read", "write"]


@pytest.mark.parametrize("query", ["?a b", "?\x7f", "?caf\xe9", "?a\r\nX: y"])
def test_the_query_of_a_remembered_path_is_checked(query: str):
    """A query that no server may see is refused behind a path that is remembered."""
    rules = Rules(RULES)
    assert rules.route("GET", "/invoices/7?page=2").path == "/invoices/7"
    with pytest.raises(InvalidRequest):
        rules.route("GET", "/invoices/7" + query)


@pytest.mark.parametrize(
    ("method", "uri"),
    [("GET", "/invoices/../admin"), ("get", "/invoices"), ("GET", "/nothing"), ("TRACE", "/invoices")],
    ids=["path", "method", "no rule", "method of no rule"],
)
def test_a_refused_request_line_leaves_nothing(method: str, uri: str):
    """A request line that is refused is refused each time, and fills no memory."""
    rules = Rules(RULES)
    for _ in range(3):
        with pytest.raises((InvalidRequest, NoRule)):
            rules.route(method, uri)
    assert rules.remembered.cache_info().currsize == 0


def test_new_rules_begin_with_an_empty_memory():
    """A path that the old rules opened is judged by the new ones alone."""
    before, after = Rules([Rule(path="/", public=True)]), Rules(RULES)
    assert before.route("GET", "/open").rule.public
    with pytest.raises(NoRule):
        after.route("GET", "/open")
    assert before.route("GET", "/open").rule.public


def test_the_memory_of_paths_is_bounded():
    """Neither many paths nor long ones fill the memory: a client writes them."""
    rules = Rules(RULES)
    for number in range(5000):
        rules.route("GET", f"/invoices/{number}")
    full = rules.remembered.cache_info()
    rules.route("GET", "/invoices/" + "a" * 300)
    assert rules.remembered.cache_info().misses == full.misses
    assert full.currsize == full.maxsize == 4096


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("nginx", {"Clientcert": PEM, "Clientcertverify": "SUCCESS"}, {"Clientcertverify": "NONE"}),
        ("nginx", {"Clientcert": PEM, "Clientcertverify": "SUCCESS"}, {"Clientcert": PEM[:-1]}),
        ("haproxy-sha256", {"Clientcertx5t": CERTIFICATE}, {"Clientcertx5t": CERTIFICATE.lower()[:-1] + "="}),
    ],
    ids=["another verdict of the proxy", "another text", "another hash"],
)
def test_a_remembered_certificate_is_that_of_its_own_headers(
    name: str, first: dict[str, str], second: dict[str, str]
):
    """Each header of the certificate takes part: one that does not fit the others is refused every time."""
    source = HeaderSource(name)
    remembered = source(sent(*first.items()))
    assert remembered.thumbprint
    for _ in range(2):
        with pytest.raises(AmbiguousHeader):
            source(sent(*{**first, **second}.items()))
    assert source(sent(*first.items())) == remembered
    assert source.remembered.cache_info().currsize == 1


def test_a_certificate_is_remembered_by_the_whole_of_its_text():
    """Two certificates are told apart by their last character, and by nothing less."""
    source = HeaderSource("haproxy-sha256")
    for one in (CERTIFICATE, OTHER_CERTIFICATE, CERTIFICATE):
        assert source(sent(("Clientcertx5t", one))).thumbprint == one


def test_a_remembered_certificate_is_of_one_format():
    """The word that says no certificate in one format says nothing in another."""
    assert HeaderSource("haproxy")(sent(("Clientcert", "none"))).thumbprint is None
    with pytest.raises(AmbiguousHeader):
        HeaderSource("caddy")(sent(("Clientcert", "none")))


def test_a_remembered_certificate_is_believed_from_no_other_sender():
    """A certificate header that a trusted proxy sent is ignored from anyone else, remembered or not."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies(["10.0.0.0/8"]))
    for address, thumbprint in (("10.0.0.1", CERTIFICATE), ("192.0.2.7", None), ("10.0.0.1", CERTIFICATE)):
        assert source(sent(("Clientcertx5t", CERTIFICATE), address=address)).thumbprint == thumbprint


def test_the_memory_of_certificates_is_bounded():
    """Neither many certificates nor a long one fill the memory: a client chooses its certificate."""
    source = HeaderSource("azure")
    contents = [b"%256d" % number for number in range(1100)]
    for content in contents:
        source(sent(("X-ARR-ClientCert", b64encode(sequence(content)).decode())))
    full = source.remembered.cache_info()
    long = b64encode(sequence(bytes(4096))).decode()
    assert source(sent(("X-ARR-ClientCert", long))).thumbprint
    assert source.remembered.cache_info().misses == full.misses
    assert full.currsize == full.maxsize == 1024


NAMES = [
    b"Clientcert",
    b"clientcert",
    b"Client-Cert",
    b"Client_Cert",
    b"Host",
    b"Clientcert\nHost",
    b"Client",
]


def found(fields: list[tuple[bytes, bytes]], name: str) -> str | None:
    """Return what stands under a name, found by looking at each field."""
    folded = name.lower().replace("-", "_")
    like = [one for one in fields if one[0].decode().lower().replace("-", "_") == folded]
    if not like:
        return None
    if len(like) > 1 or like[0][0].decode().lower() != name.lower():
        raise AmbiguousHeader(name)
    return like[0][1].decode()


def outcome(read: Callable[[], str | None]) -> str | None:
    try:
        return read()
    except AmbiguousHeader:
        return "ambiguous"


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"1", b"2"])), max_size=4))
def test_a_remembered_layout_is_that_of_the_same_names(fields: list[tuple[bytes, bytes]]):
    """A header is found in the fields of its own request or not at all, after any other requests."""
    connection = RawConnection(fields, address=None, is_unix_socket=True)
    for name in ("Clientcert", "Client-Cert", "Host", "Clientcert"):
        assert outcome(partial(connection.header, name)) == outcome(partial(found, fields, name))


def test_an_ambiguous_header_is_refused_every_time():
    """A header that came twice is refused however often it is read, and in each request with these names."""
    fields = [("Clientcert", "a"), ("Clientcert", "b"), ("Host", "x")]
    for _ in range(2):
        connection = sent(*fields)
        for _ in range(2):
            with pytest.raises(AmbiguousHeader):
                connection.header("Clientcert")
        assert connection.header("Host") == "x"


def test_the_memory_of_layouts_is_bounded():
    """Neither many layouts nor those of many or long names fill the memory: a client may write names."""
    remembered_layout.cache_clear()
    for number in range(300):
        sent((f"X-{number}", "x"), ("Host", "x"))
    full = remembered_layout.cache_info()
    assert sent(*[(f"N{number}", "x") for number in range(65)], ("Host", "x")).header("Host") == "x"
    assert sent(("N" * 1025, "x"), ("Host", "x")).header("Host") == "x"
    assert remembered_layout.cache_info().misses == full.misses
    assert full.currsize == full.maxsize == 256


def test_the_memory_of_one_layout_is_bounded():
    """However many names are asked for, a layout keeps the places of a few."""
    connection = sent(("Host", "x"))
    assert [connection.header(f"X-{number}") for number in range(200)] == [None] * 200
    assert len(layout_of(connection.fields).places) <= 64


def test_the_memory_of_envoy_s_certificates_is_bounded():
    """A certificate that Envoy sends over gRPC is remembered by all of its text, and a refused one never."""
    remembered_certificate.cache_clear()
    for _ in range(2):
        assert remembered_certificate(PEM)
        with pytest.raises(AmbiguousHeader):
            remembered_certificate(PEM[:-1])
    assert remembered_certificate(Asked(certificate=sequence(bytes(4096))).pem)
    assert remembered_certificate.cache_info().currsize == 1


def test_the_memory_of_presented_certificates_is_bounded():
    """A connection's certificate is remembered by all of its bytes; neither many nor a long one fill it."""
    remembered_presented.cache_clear()
    alike = [DerCertificate(b"%256d" % number) for number in range(1100)]
    for one in alike:
        assert presented_certificate(one).thumbprint == thumbprint_of(one)
    full = remembered_presented.cache_info()
    long = DerCertificate(bytes(4097))
    assert presented_certificate(long).thumbprint == thumbprint_of(long)
    assert remembered_presented.cache_info().misses == full.misses
    assert full.currsize == full.maxsize == 1024
