"""The names of the proxy's headers, where they are given or fixed by an ingress controller."""

from collections.abc import Iterator

import pytest

from tests.support.gateway_process import Running, gateway
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Answered, Asked, forwarded
from tests.support.tls_servers import Client

PROXIES = {
    "named": {"header": "X-Own-Cert", "companion": "X-Own-Verify"},
    "ingress-nginx": {"format": "ingress-nginx"},
}
NAMES = {"named": ("X-Own-Cert", "X-Own-Verify"), "ingress-nginx": ("Ssl-Client-Cert", "Ssl-Client-Verify")}


@pytest.fixture(scope="module", params=PROXIES)
def asked_by(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str, str]]:
    """Run a gateway that reads the certificate under these names."""
    proxy = {"kind": "nginx", "trust": ["unix"], **PROXIES[request.param]}
    with gateway(tmp_path_factory.mktemp("named"), proxy=proxy) as running:
        yield running, *NAMES[request.param]


def ask(running: Running, shown: Client, *headers: tuple[str, str]) -> Answered:
    return running.ask(forwarded(Asked(token=good(shown.der), certificate=shown.der), list(headers)))


@pytest.mark.parametrize("verify", ["SUCCESS", "FAILED:self-signed certificate"])
def test_the_named_headers_are_read(asked_by, holder: Client, verify: str):
    """A holder whose certificate comes under the named headers is let in."""
    running, header, companion = asked_by
    pem = Asked(certificate=holder.der).pem
    assert ask(running, holder, (header, pem), (companion, verify)).status == 200


@pytest.mark.parametrize(
    ("verify", "status"),
    [
        pytest.param((), 503, id="missing"),
        pytest.param(("",), 503, id="empty"),
        pytest.param(("SUCCESS", "SUCCESS"), 403, id="twice"),
        pytest.param(("NONE",), 403, id="a contradiction"),
        pytest.param(("TRUE",), 403, id="another word"),
    ],
)
def test_without_its_companion_a_certificate_is_not_believed(asked_by, holder: Client, verify, status: int):
    """A certificate whose companion is missing, or is not what nginx says, lets no holder in."""
    running, header, companion = asked_by
    pem = Asked(certificate=holder.der).pem
    answer = ask(running, holder, (header, pem), *((companion, one) for one in verify))
    assert (answer.status, answer.principal) == (status, {})


def test_the_format_s_own_headers_mean_nothing_then(asked_by, holder: Client):
    """Under other names than these a certificate is none, from any sender."""
    running, _, companion = asked_by
    pem = Asked(certificate=holder.der).pem
    spoof = (("Clientcert", pem), ("Clientcertverify", "SUCCESS"), ("X-Ssl-Client-Cert", pem))
    assert ask(running, holder, (companion, "NONE"), *spoof).status == 401
