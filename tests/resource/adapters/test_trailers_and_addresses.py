"""Trailers, and addresses that headers name, decide nothing: neither a certificate nor an ip caveat."""

import sys
from types import ModuleType

import pytest

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.errors import ProxyMisconfigured
from macaroon_cbat.macaroon.caveats import ClientAddress
from tests.support.adapter_proxies import DER, OURS, SECRET, STRANGER, bound_to_der, ours
from tests.support.adapters import ADAPTERS, ASYNC
from tests.support.certificate_spellings import NONE, SILENT, SPELLINGS
from tests.support.guarded_app import bound

CLIENT = "192.0.2.7"
"""The address that the proxy says the client has, and that a middleware puts into the connection's place."""


def shown(adapter, address):
    """Return what a server or a middleware makes of the address that a header names."""
    return {"client": (address, 0)} if adapter.send.__name__ == "through_asgi" else {"REMOTE_ADDR": address}


@pytest.mark.parametrize(("address", "status"), [(CLIENT, 200), (STRANGER, 401)])
@pytest.mark.parametrize("name", ADAPTERS)
def test_ip_is_what_a_trusted_proxy_says(name, address, status):
    """Behind a trusted proxy an ip caveat is judged by the client's address that the server shows."""
    one = ADAPTERS[name]
    reply = one.call(
        one.make(certificate_source=ours(["unix"])),
        bound(ClientAddress(CLIENT)),
        unix=True,
        headers=[*OURS, ("X-Forwarded-For", address)],
        shown=shown(one, address),
    )
    assert reply.status == status


@pytest.mark.parametrize("name", ADAPTERS)
def test_ip_is_no_header_s_word(name):
    """An address that a header or a PROXY line wrote, through no trusted proxy, meets no ip caveat."""
    one = ADAPTERS[name]
    for settings, headers in (({}, []), ({"certificate_source": ours(["secret"], SECRET)}, OURS)):
        reply = one.call(
            one.make(**settings),
            bound(ClientAddress(CLIENT)),
            address=STRANGER,
            headers=[*headers, ("X-Forwarded-For", CLIENT)],
            shown=shown(one, CLIENT),
        )
        assert reply.status == 401


MAY_BE_SILENT = sorted(SILENT | {"rfc9440"})


@pytest.fixture
def _httptools(monkeypatch):
    """Let this process look like one of uvicorn with httptools."""
    name = "uvicorn.protocols.http.httptools_impl"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))


@pytest.mark.usefixtures("_httptools")
@pytest.mark.parametrize("came", [{"unix": True}, {"address": STRANGER}], ids=["the proxy", "a stranger"])
@pytest.mark.parametrize("format_", MAY_BE_SILENT)
@pytest.mark.parametrize("name", ASYNC)
def test_a_format_that_is_silent_is_refused_where_trailers_become_headers(name, format_, came, log):
    """Formats that say "none" by silence are 503 where trailers stand among headers, whatever came."""
    one = ASYNC[name]
    value = SPELLINGS[format_](DER)[0]
    app = one.make(certificate_source=Forwarded(format_, trust=trusted_proxies(["unix"])))
    for headers in ([], [(FORMATS[format_].header, value)]):
        reply = one.call(app, bound_to_der(), certificate=None, headers=headers, **came)
        assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
    assert "--http h11" in log.text


@pytest.mark.parametrize("format_", MAY_BE_SILENT)
@pytest.mark.parametrize("name", ASYNC)
def test_a_format_that_is_silent_is_read_elsewhere(name, format_):
    """The same formats are read where trailers stand apart; their silence is no certificate, or 503."""
    one = ASYNC[name]
    app = one.make(certificate_source=Forwarded(format_, trust=trusted_proxies(["unix"])))
    headers = [(FORMATS[format_].header, SPELLINGS[format_](DER)[0])]
    assert one.call(app, bound_to_der(), certificate=None, headers=headers, unix=True).status == 200
    silence = 503 if format_ == "rfc9440" else 401
    assert one.call(app, bound_to_der(), certificate=None, unix=True).status == silence


@pytest.mark.usefixtures("_httptools")
@pytest.mark.parametrize("name", ASYNC)
def test_a_trailer_names_no_address(name):
    """No address meets an ip caveat if a trailer may stand beside the proxy's own X-Forwarded-For."""
    one = ASYNC[name]
    app = one.make(certificate_source=ours(["unix"]))
    came = {"unix": True, "headers": OURS, "shown": {"client": (CLIENT, 0)}}
    assert one.call(app, bound(ClientAddress(CLIENT)), **came).status == 401
    assert one.call(app, bound(), **came).status == 200


@pytest.mark.parametrize("format_", sorted(FORMATS.keys() - {*MAY_BE_SILENT, "aws-alb"}))
def test_every_other_format_always_speaks(format_):
    """A format that is read where trailers become headers says "none" by a header of its own."""
    assert any(value is not None for value in NONE[format_])
    with pytest.raises(ProxyMisconfigured):
        FORMATS[format_].read(*(None for _ in NONE[format_]))
