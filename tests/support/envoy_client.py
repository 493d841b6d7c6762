"""Envoy's side of gRPC: the CheckRequest that it sends, and how it reads the answer."""

import grpc
from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from tests.support.gateway_process import Answered, Running
from tests.support.proxy_requests import Asked
from tests.support.tls_servers import SECONDS

CHECK = "/envoy.service.auth.v3.Authorization/Check"


def check_request(asked: Asked) -> CheckRequest:
    """Return what Envoy sends; several headers of one name it joins with commas."""
    request = CheckRequest()
    source, http = request.attributes.source, request.attributes.request.http
    source.address.socket_address.address = asked.address
    if asked.certificate is not None:
        source.certificate = asked.pem
        source.principal = "CN=holder"
    http.method, http.path = asked.method, asked.uri
    fields = [(":path", asked.uri), *asked.authorization, *asked.more]
    for name, value in [(name.lower(), value) for name, value in fields]:
        http.headers[name] = f"{http.headers[name]},{value}" if name in http.headers else value
    return request


def check(
    gateway: Running, request: CheckRequest, metadata: tuple[tuple[str, str], ...] = ()
) -> CheckResponse:
    """Send this request over a connection of its own."""
    assert gateway.grpc is not None
    with grpc.insecure_channel(gateway.grpc) as channel:
        call = channel.unary_unary(CHECK, CheckRequest.SerializeToString, CheckResponse.FromString)
        response: CheckResponse = call(request, timeout=SECONDS, metadata=metadata)
        return response


def answered(response: CheckResponse) -> Answered:
    """Return the answer as the other proxies get it; each header must overwrite what came from outside."""
    is_ok = response.status.code == 0
    part = response.ok_response if is_ok else response.denied_response
    assert response.WhichOneof("http_response") == ("ok_response" if is_ok else "denied_response")
    for option in part.headers:
        assert option.append_action == HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
        assert option.keep_empty_value
    headers = {option.header.key: option.header.value for option in part.headers}
    shown = {
        "-".join(word.capitalize() for word in name.split("-")): value for name, value in headers.items()
    }
    shown = {{"Www-Authenticate": "WWW-Authenticate"}.get(name, name): value for name, value in shown.items()}
    status = 200 if is_ok else part.status.code
    return Answered(status, shown, b"" if is_ok else part.body.encode())


def envoy_grpc(gateway: Running, asked: Asked) -> Answered:
    """Ask as Envoy does over gRPC."""
    return answered(check(gateway, check_request(asked)))
