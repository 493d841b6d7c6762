"""The senders of questions: facts and certificates are believed from named proxies alone."""

from collections.abc import Iterator

import grpc
import pytest

from tests.support.envoy_client import check, check_request, envoy_grpc
from tests.support.gateway_process import NO_PRINCIPAL, Running, gateway
from tests.support.gateway_tokens import good
from tests.support.ports import free_port
from tests.support.proxy_requests import Asked, nginx
from tests.support.tls_servers import Client

SECRET = "a secret of the proxy"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway that trusts a network that we are not in."""
    listen = {"http": f"127.0.0.1:{free_port()}"}
    proxy = {"kind": "nginx", "trust": ["10.9.0.0/16"]}
    with gateway(tmp_path_factory.mktemp("elsewhere"), listen=listen, proxy=proxy) as running:
        yield running


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway whose proxy shows a secret."""
    folder = tmp_path_factory.mktemp("secretive")
    (folder / "proxy.secret").write_text(SECRET.replace(" ", "-") + "\n")
    proxy = {"kind": "nginx", "trust": ["unix"], "secret_file": "proxy.secret"}
    with gateway(folder, proxy=proxy) as running:
        yield running


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway that trusts Envoy on loopback, if it shows a secret."""
    folder = tmp_path_factory.mktemp("envoy-tcp")
    (folder / "proxy.secret").write_text(SECRET.replace(" ", "-"))
    proxy = {"kind": "envoy", "trust": ["127.0.0.1/32"], "secret_file": "proxy.secret"}
    with gateway(folder, listen={"grpc": f"127.0.0.1:{free_port()}"}, proxy=proxy) as running:
        yield running


def test_a_stranger_gets_no_answer(elsewhere: Running, holder: Client):
    """From a connection that trust does not name, the best of questions gets 403, and is audited."""
    for asked in (
        Asked(token=good(holder.der), certificate=holder.der),
        Asked(uri="/health"),
        Asked(uri="/"),
    ):
        answer = nginx(elsewhere, asked)
        assert (answer.status, answer.principal) == (403, {})
        line = elsewhere.audit()[-1]
        assert (line["status"], line["error"], line["address"]) == (403, "access_denied", "127.0.0.1")
        assert "127.0.0.1, which is not a trusted proxy" in line["reason"]


def test_who_claims_an_address_stays_a_stranger(elsewhere: Running, holder: Client):
    """No header makes a stranger a trusted proxy."""
    for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "Proxysecret"):
        asked = Asked(
            token=good(holder.der), certificate=holder.der, address="10.9.0.1", more=((name, "10.9.0.1"),)
        )
        assert nginx(elsewhere, asked).status == 403


def test_without_the_secret_a_proxy_is_a_stranger(secretive: Running, holder: Client):
    """Only a proxy that shows exactly the secret that is set, once, is answered."""
    right = SECRET.replace(" ", "-")
    token = good(holder.der)

    def ask(*shown: str, name: str = "Proxysecret") -> int:
        more = tuple((name, value) for value in shown)
        return nginx(secretive, Asked(token=token, certificate=holder.der, more=more)).status

    assert ask(right) == 200
    assert [ask(), ask(right[:-1]), ask(right + "x"), ask(""), ask(right, right), ask("no", right)] == [
        403
    ] * 6
    assert ask(right, name="Proxy_secret") == 403
    assert right not in secretive.log()


def test_a_stranger_over_grpc_is_denied(envoy: Running, holder: Client):
    """A stranger over gRPC gets PERMISSION_DENIED, which is no answer to the question at all."""
    request = check_request(Asked(token=good(holder.der), certificate=holder.der))
    right = SECRET.replace(" ", "-")
    for metadata in ((), (("proxysecret", "wrong"),), (("proxysecret", right), ("proxysecret", right))):
        with pytest.raises(grpc.RpcError) as caught:
            check(envoy, request, metadata)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]
        assert "without the proxy's secret" in envoy.audit()[-1]["reason"]
    assert check(envoy, request, (("proxysecret", right),)).status.code == 0
    request.attributes.request.http.headers["proxysecret"] = right
    with pytest.raises(grpc.RpcError):
        check(envoy, request)


def test_the_clients_headers_are_no_certificate_over_grpc(
    running_grpc: Running, holder: Client, thief: Client
):
    """Envoy's own word alone counts over gRPC: certificate headers of the client have no part in it."""
    spoof = (
        ("x-forwarded-client-cert", f"Hash={'0' * 64}"),
        ("clientcert", Asked(certificate=holder.der).pem),
        ("client-cert", "::"),
    )
    token = good(holder.der)
    for presented in (None, thief.der):
        asked = Asked(token=token, certificate=presented, more=spoof)
        assert envoy_grpc(running_grpc, asked).status == 401
    assert envoy_grpc(running_grpc, Asked(token=token, certificate=holder.der, more=spoof)).status == 200


@pytest.fixture(scope="module")
def running_grpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("grpc")
    listen = {"grpc": f"unix:{folder}/grpc.sock"}
    with gateway(folder, listen=listen, proxy={"kind": "envoy", "trust": ["unix"]}) as running:
        yield running


def test_the_grpc_socket_is_for_owner_and_group(running_grpc: Running):
    """The Unix socket of the gRPC server admits owner and group alone."""
    assert (running_grpc.folder / "grpc.sock").stat().st_mode & 0o777 == 0o660


def test_a_certificate_that_envoy_keeps_to_itself_is_a_mistake(running_grpc: Running, holder: Client):
    """No verdict is possible where Envoy names the client after a certificate and does not send it: 503."""
    request = check_request(Asked(token=good(holder.der), certificate=holder.der))
    request.attributes.source.certificate = ""
    response = check(running_grpc, request)
    assert response.denied_response.status.code == 503
    assert response.WhichOneof("http_response") == "denied_response"
    running_grpc.await_log("include_peer_certificate")


@pytest.mark.parametrize(
    "spoil", [lambda pem: pem[:-1], lambda pem: pem * 2, lambda _: "x", lambda pem: pem + "%0A"]
)
def test_no_certificate_is_read_from_malformed_text(running_grpc: Running, holder: Client, spoil):
    """A text that is not exactly one certificate as Envoy writes it is refused with 400."""
    request = check_request(Asked(token=good(holder.der), certificate=holder.der))
    request.attributes.source.certificate = spoil(request.attributes.source.certificate)
    assert check(running_grpc, request).denied_response.status.code == 400


def test_raw_headers_count_as_joined_ones(running_grpc: Running, holder: Client):
    """With encode_raw_headers Envoy sends each header apart: one Authorization counts, two do not."""
    request = check_request(Asked(certificate=holder.der))
    http = request.attributes.request.http
    http.headers.clear()
    for expected in (200, 400):
        http.header_map.headers.add(key="authorization", raw_value=f"Bearer {good(holder.der)}".encode())
        response = check(running_grpc, request)
        status = 200 if response.status.code == 0 else response.denied_response.status.code
        assert status == expected


def test_a_public_path_overwrites_over_grpc(running_grpc: Running):
    """On a public path Envoy is told to overwrite all five headers by nothing, not to leave them."""
    response = check(running_grpc, check_request(Asked(uri="/health")))
    assert {option.header.key for option in response.ok_response.headers} == {
        name.lower() for name in NO_PRINCIPAL
    }
    assert {option.header.value for option in response.ok_response.headers} == {""}
    assert all(option.keep_empty_value for option in response.ok_response.headers)
