"""Headers that servers and frameworks believe from a proxy: the application sees none that a client wrote."""

import json

import pytest

from macaroon_cbat.certificate.formats import CERTIFICATE_HEADERS
from macaroon_cbat.certificate.untrusted_headers import UNTRUSTED_HEADERS
from macaroon_cbat.tls.site import removed_keys
from tests.support.stepped_loop import stepped
from tests.support.tls_servers import Server, speak

OURS = {name.lower() for name in CERTIFICATE_HEADERS}
NAMES = [name for name in (*UNTRUSTED_HEADERS, "Upgrade") if name.lower() not in OURS]
PORTIONS = [NAMES[at : at + 90] for at in range(0, len(NAMES), 90)]
"""A request has 128 fields at most."""
REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n{}X-Honest: here\r\n\r\n"


def request_of(names: list[str]) -> bytes:
    return REQUEST.format("".join(f"{name}: evil\r\n" for name in names)).encode()


@pytest.mark.parametrize("names", PORTIONS, ids=lambda names: names[0])
def test_the_application_sees_none(server: Server, names: list[str]) -> None:
    """No untrusted header reaches an application on the embedded server, in whatever letters."""
    for spelled in (names, [name.lower() for name in names], [name.upper() for name in names]):
        with server.connect() as connection:
            environ = speak(connection, request_of(spelled)).json()["environ"]
        assert environ["HTTP_X_HONEST"] == "here"
        assert {key: value for key, value in environ.items() if value == "evil"} == {}


@pytest.mark.parametrize("kept", [(), ("X-Ssl-Cert",)], ids=["no proxy", "a proxy with a header of its own"])
def test_a_certificate_header_comes_from_a_configured_proxy_alone(tmp_path, kept):
    """No certificate header arrives without a configured proxy, and with one its own header alone."""
    names = [*CERTIFICATE_HEADERS, "X-Ssl-Cert", "Ssl-Client-Verify"]
    with stepped(tmp_path) as server:
        server.loop.site.removed_keys = removed_keys(kept)
        client = server.client()
        client.send(request_of(names))
        server.serve()
        environ = json.loads(client.look().partition(b"\r\n\r\n")[2])["environ"]
    assert environ["HTTP_X_HONEST"] == "here"
    assert [key for key, value in environ.items() if value == "evil"] == [
        "HTTP_" + name.upper().replace("-", "_") for name in kept
    ]
