"""Envoy's questions over gRPC (`envoy.service.auth.v3.Authorization`), with Envoy's published API.

The certificate is that of Envoy's own TLS connection (`attributes.source.certificate`), and comes from no
header. A sender that is not a trusted proxy gets PERMISSION_DENIED and no answer.
"""

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.gateway.decision import Untrusted
from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.envoy_question import EnvoyQuestion, envoy_connection
from macaroon_cbat.gateway.http_connection import REQUEST_SECONDS
from macaroon_cbat.gateway.places import narrow_umask
from macaroon_cbat.resource.responses import Answer
from macaroon_cbat.server.address import Address

with extra("envoy"):
    import grpc
    import grpc.aio
    from envoy.config.core.v3.base_pb2 import HeaderValueOption
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
    from google.protobuf.message import DecodeError
    from google.rpc import code_pb2

_SERVICE = "envoy.service.auth.v3.Authorization"
_OVERWRITE = HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
_MAX_MESSAGE_BYTES = 256 * 1024
"""Bytes: a certificate of 64 KB is three times as long once it is URL-encoded."""

_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.server_handshake_timeout_ms", int(REQUEST_SECONDS * 1000)),
    ("grpc.so_reuseport", 1),
)


class EnvoyServer:
    """The gRPC server that answers Envoy in the running event loop."""

    def __init__(self, dispatcher: Dispatcher, place: Address) -> None:
        """Prepare to listen there; several processes may over TCP, one alone over a Unix socket."""
        self._dispatcher, self._place = dispatcher, place
        self._server = grpc.aio.server(options=_OPTIONS)
        method = grpc.unary_unary_rpc_method_handler(
            self._check,
            request_deserializer=_read,
            response_serializer=CheckResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(_SERVICE, {"Check": method})
        self._server.add_generic_rpc_handlers((handler,))

    async def start(self) -> None:
        """Listen and answer. Raises SettingsError."""
        try:
            with narrow_umask():
                self._server.add_insecure_port(str(self._place))
        except RuntimeError as error:
            raise SettingsError(
                f"[listen], grpc: {self._place} is not free: stop what listens there, or name another"
            ) from error
        await self._server.start()

    async def finish(self) -> None:
        """Answer the questions under way, for as long as a request may take, and end."""
        await self._server.stop(REQUEST_SECONDS)

    async def _check(
        self, request: CheckRequest | None, context: "grpc.aio.ServicerContext[CheckRequest, CheckResponse]"
    ) -> CheckResponse:
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no CheckRequest")
        assert request is not None
        connection = envoy_connection(
            context.invocation_metadata() or (),
            peer=context.peer(),
            is_unix_socket=self._place.path is not None,
        )
        question = EnvoyQuestion(connection, request.attributes)
        decision = self._dispatcher.at_once(question)
        if decision is None:
            decision = await self._dispatcher.after_waiting(question)
        if isinstance(decision, Untrusted):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only a trusted proxy may ask here")
        assert not isinstance(decision, Untrusted)
        return response_of(decision)


def _read(message: bytes) -> CheckRequest | None:
    """Return the message, or None for a malformed one, of which gRPC would log a traceback each time."""
    try:
        return CheckRequest.FromString(message)
    except DecodeError:
        return None


def response_of(answer: Answer) -> CheckResponse:
    """Return the answer in Envoy's form: headers that overwrite, or the whole refusal."""
    response = CheckResponse()
    if answer.status == 200:
        response.status.code = code_pb2.OK
        headers = response.ok_response.headers
    else:
        response.status.code = code_pb2.UNAVAILABLE if answer.status >= 500 else code_pb2.PERMISSION_DENIED
        response.denied_response.status.code = answer.status
        response.denied_response.body = answer.body.decode()
        headers = response.denied_response.headers
    for name, value in answer.headers:
        option = headers.add(append_action=_OVERWRITE, keep_empty_value=True)
        option.header.key, option.header.value = name.lower(), value
    return response
