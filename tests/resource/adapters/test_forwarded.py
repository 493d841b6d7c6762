"""Adapters behind a proxy: each believes the named proxy's header, and that of no other sender."""

import base64

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from tests.support.adapter_proxies import DER, OURS, PROXY, SECRET, STRANGER, bound_to_der, ours
from tests.support.adapters import ADAPTERS, ASYNC
from tests.support.counters import counts, difference
from tests.support.guarded_app import bound
from tests.support.tokens import OTHER_CERTIFICATE

RFC_9440 = f":{base64.b64encode(DER).decode()}:"
STANDARD = [("Client-Cert", RFC_9440)]
SOURCES = {
    "Unix socket": (["unix"], {"unix": True}),
    "network": (["10.0.0.0/8"], {"address": PROXY}),
}
PLACES = [
    (adapter, source)
    for adapter in ADAPTERS
    for source in SOURCES
    if (adapter in ASYNC) <= (source != "network")
]
"""Each adapter with whom it can trust: no ASGI server is measured to show the connection's own address."""


def standard(trust):
    return Forwarded("rfc9440", trust=trusted_proxies(trust))


@pytest.fixture(params=PLACES, ids=", ".join)
def place(request):
    """Name each adapter and whom it trusts."""
    return request.param


@pytest.fixture
def adapter(place):
    """Return the adapter at hand."""
    return ADAPTERS[place[0]]


@pytest.fixture
def source(place):
    """Return whom to trust, and how a request from there arrives."""
    return SOURCES[place[1]]


def test_the_proxy_s_word_counts(adapter, source):
    """The named proxy's word about the certificate counts; the connection's own is the proxy's."""
    trust, came = source
    for peer, headers, text in ((ours(trust), OURS, bound()), (standard(trust), STANDARD, bound_to_der())):
        app = adapter.make(certificate_source=peer)
        for certificate in (None, b"the proxy's own"):
            reply = adapter.call(app, text, certificate=certificate, headers=headers, **came)
            assert reply.status == 200
    other = [("Clientcertx5t", OTHER_CERTIFICATE)]
    assert (
        adapter.call(adapter.make(certificate_source=ours(trust)), bound(), headers=other, **came).status
        == 401
    )


@pytest.mark.parametrize(
    "came", [{"address": STRANGER}, {"address": "not an address"}], ids=["a stranger", "a name"]
)
def test_a_stranger_s_word_does_not_count(adapter, source, log, came):
    """A certificate header of any other sender is ignored, counted and logged once, and admits no client."""
    trust, _ = source
    before = counts()
    reply = adapter.call(adapter.make(certificate_source=ours(trust)), bound(), headers=OURS, **came)
    assert reply.status == 401
    found = difference(before)
    assert found == {("certificates_ignored_total",): 1, ("refused_total", "CaveatsNotMet"): 1}
    assert log.text.count("a certificate header is ignored: Clientcertx5t") == 2  # its own line, and audit


def test_a_forged_address_is_no_proxy(adapter, source):
    """Headers that name the trusted network make no client a proxy."""
    forged = [
        *OURS,
        ("X-Forwarded-For", PROXY),
        ("Forwarded", f"for={PROXY}"),
        ("X-Real-Ip", PROXY),
        ("Remote-Addr", PROXY),
    ]
    reply = adapter.call(
        adapter.make(certificate_source=ours(source[0])), bound(), headers=forged, address=STRANGER
    )
    assert reply.status == 401


@pytest.mark.parametrize("headers", [[], OURS, [("Clientcertx5t", "none")]], ids=["none", "one", "without"])
@pytest.mark.parametrize("address", [PROXY, STRANGER])
@pytest.mark.parametrize("name", ASYNC)
def test_no_asgi_server_makes_an_address_proof(name, headers, address, log):
    """Under ASGI trust by network is 503 for every request, and the log names what to use in its place."""
    one = ASYNC[name]
    reply = one.call(
        one.make(certificate_source=ours(["10.0.0.0/8"])), bound(), headers=headers, address=address
    )
    assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
    for way in ("Unix socket (unix)", "secret (secret)", "certificate (x5t#S256=...)"):
        assert way in log.text


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_secret_may_be_enough(name):
    """A proxy that is trusted by its secret alone is believed from anywhere, and not without the secret."""
    one = ADAPTERS[name]
    app = one.make(certificate_source=ours(["secret"], SECRET))
    for secrets, status in (([SECRET], 200), ([], 401), ([SECRET + "x"], 401), ([SECRET, SECRET], 401)):
        shown = [("Proxysecret", secret) for secret in secrets]
        assert one.call(app, bound(), headers=[*OURS, *shown], certificate=None).status == status


def test_a_proxy_that_says_nothing_is_misconfigured(adapter, source, log):
    """A missing word about the certificate is 503 where the format promises one, and the log says so."""
    trust, came = source
    app = adapter.make(certificate_source=ours(trust))
    assert adapter.call(app, bound(), **came).status == 503
    assert "HAProxy sends neither a certificate nor none" in log.text
    assert adapter.call(app, bound(), headers=[("Clientcertx5t", "none")], **came).status == 401


@pytest.mark.parametrize(
    "shown", [[], [("Proxysecret", "another secret of the")], [("Proxy_secret", SECRET)]]
)
def test_without_the_secret_no_sender_is_a_proxy(adapter, source, shown):
    """No sender without the secret is believed at the address of a proxy that has one."""
    trust, came = source
    app = adapter.make(certificate_source=ours(trust, SECRET))
    assert adapter.call(app, bound(), headers=[*OURS, *shown], **came).status == 401
    assert adapter.call(app, bound(), headers=[*OURS, ("Proxysecret", SECRET)], **came).status == 200
    twice = [*OURS, ("Proxysecret", SECRET), ("Proxysecret", SECRET)]
    assert adapter.call(app, bound(), headers=twice, **came).status == 401


OTHERS = ":" + base64.b64encode(DER[:-1] + b"x").decode() + ":"
ATTACKS = {
    "twice": [("Client-Cert", OTHERS), ("Client-Cert", RFC_9440)],
    "twice, the other first": [("Client-Cert", RFC_9440), ("Client-Cert", OTHERS)],
    "twice the same": [("Client-Cert", RFC_9440), ("Client-Cert", RFC_9440)],
    "a list in one": [("Client-Cert", f"{OTHERS}, {RFC_9440}")],
    "an underscore": [("Client-Cert", OTHERS), ("Client_Cert", RFC_9440)],
    "an underscore first": [("Client_Cert", RFC_9440), ("Client-Cert", OTHERS)],
    "an underscore alone": [("Client_Cert", RFC_9440)],
    "a dot": [("Client-Cert", OTHERS), ("Client.Cert", RFC_9440)],
    "a dot alone": [("Client.Cert", RFC_9440)],
    "an underscore, in capitals": [("CLIENT_CERT", RFC_9440)],
}


@pytest.mark.parametrize("headers", ATTACKS.values(), ids=ATTACKS)
def test_what_a_client_smuggles_through_the_proxy_lets_it_nowhere(adapter, source, headers):
    """A second spelling or value beside the proxy's lets no client in: 400, or the server drops it.

    What is left where the server drops it is the proxy's own value, or none, which is 503.
    """
    trust, came = source
    reply = adapter.call(
        adapter.make(certificate_source=standard(trust)), bound_to_der(), headers=headers, **came
    )
    assert reply.status == 400 or (reply.status in (401, 503) and adapter.send.__name__ == "through_wsgi")


def test_the_right_certificate_beside_an_alias_is_still_refused_under_asgi(adapter, source):
    """An ASGI server hides no alias, so the guard refuses it even beside the right certificate."""
    if adapter.send.__name__ == "through_asgi":
        trust, came = source
        app = adapter.make(certificate_source=standard(trust))
        headers = [*STANDARD, ("Client_Cert", "x")]
        assert adapter.call(app, bound_to_der(), headers=headers, **came).status == 400
