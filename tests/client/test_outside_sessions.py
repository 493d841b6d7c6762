"""A MacaroonAuth outside a session that presents its certificate: the error is ours, and no token is sent."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

import macaroon_cbat.client.aiohttp as holder_aiohttp
import macaroon_cbat.client.httpx as holder_httpx
import macaroon_cbat.client.requests as holder_requests
from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.errors import SettingsError
from tests.support.client_files import Files, Pair, make_token
from tests.support.silent_services import Silent, silent_service
from tests.support.token_server import Server

TEMPER = "outside"
Sends = Callable[[Server, ClientCertificate, ClientCertificate], object]
"""Sends a request with a MacaroonAuth of the first certificate; the second one is of another session."""


def requests_alone(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_requests.MacaroonAuth(make_token(), mine)
    return requests.post(server.url(f"/{TEMPER}/token"), auth=auth, verify=str(server.ca), timeout=60)


def requests_with_cert(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    with requests.Session() as session:
        session.auth = holder_requests.MacaroonAuth(make_token(), mine)
        certificate, key = mine.files
        session.cert = str(certificate), str(key)
        return session.post(server.url(f"/{TEMPER}/token"), timeout=60, verify=str(server.ca))


def requests_mounted(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_requests.MacaroonAuth(make_token(), mine)
    with holder_requests.certificate_session(auth, server.ca) as session:
        session.mount(server.url("/"), HTTPAdapter(max_retries=Retry(3, backoff_factor=0)))
        return session.post(server.url(f"/{TEMPER}/token"), timeout=60, verify=str(server.ca))


def requests_of_another(server: Server, mine: ClientCertificate, other: ClientCertificate) -> object:
    auth = holder_requests.MacaroonAuth(make_token(), mine)
    with holder_requests.certificate_session(
        holder_requests.MacaroonAuth(make_token(), other), server.ca
    ) as session:
        return session.post(server.url(f"/{TEMPER}/token"), auth=auth, timeout=60)


def httpx_alone(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_httpx.MacaroonAuth(make_token(), mine)
    context = mine.current().context(server.ca)
    return httpx.post(server.url(f"/{TEMPER}/token"), auth=auth, verify=context)


def httpx_kept(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_httpx.MacaroonAuth(make_token(), mine)
    with httpx.Client(verify=mine.current().context(server.ca)) as client:
        client.get(server.url("/echo"))
        return client.post(server.url(f"/{TEMPER}/token"), auth=auth, extensions={"trace": print})


def httpx_mounted(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_httpx.MacaroonAuth(make_token(), mine)
    mounts = {server.url(""): httpx.HTTPTransport(verify=mine.current().context(server.ca))}
    transport = holder_httpx.CertificateTransport(mine, server.ca)
    with httpx.Client(auth=auth, transport=transport, mounts=mounts) as client:
        return client.post(server.url(f"/{TEMPER}/token"))


def httpx_mocked(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    auth = holder_httpx.MacaroonAuth(make_token(), mine)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        return client.post(server.url(f"/{TEMPER}/token"))


def httpx_of_another(server: Server, mine: ClientCertificate, other: ClientCertificate) -> object:
    auth = holder_httpx.MacaroonAuth(make_token(), mine)
    with holder_httpx.certificate_client(holder_httpx.MacaroonAuth(make_token(), other), server.ca) as client:
        return client.post(server.url(f"/{TEMPER}/token"), auth=auth)


def httpx_async(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    async def main() -> object:
        auth = holder_httpx.MacaroonAuth(make_token(), mine)
        async with httpx.AsyncClient(auth=auth, verify=mine.current().context(server.ca)) as client:
            return await client.post(server.url(f"/{TEMPER}/token"))

    return asyncio.run(main())


def aiohttp_alone(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    async def main() -> object:
        auth = holder_aiohttp.MacaroonAuth(make_token(), mine)
        connector = aiohttp.TCPConnector(ssl=mine.current().context(server.ca))
        async with aiohttp.ClientSession(connector=connector, middlewares=(auth,)) as session:
            return await session.post(server.url(f"/{TEMPER}/token"))

    return asyncio.run(main())


def aiohttp_by_hand(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    async def main() -> object:
        auth = holder_aiohttp.MacaroonAuth(make_token(), mine)
        connector = holder_aiohttp.CertificateConnector(mine, server.ca)
        async with aiohttp.ClientSession(connector=connector, middlewares=(auth,)) as session:
            return await session.post(server.url(f"/{TEMPER}/token"))

    return asyncio.run(main())


def aiohttp_with_ssl(server: Server, mine: ClientCertificate, _: ClientCertificate) -> object:
    async def main() -> object:
        auth = holder_aiohttp.MacaroonAuth(make_token(), mine)
        async with holder_aiohttp.certificate_session(auth, server.ca) as session:
            return await session.post(server.url(f"/{TEMPER}/token"), ssl=False)

    return asyncio.run(main())


def aiohttp_of_another(server: Server, mine: ClientCertificate, other: ClientCertificate) -> object:
    async def main() -> object:
        auth = holder_aiohttp.MacaroonAuth(make_token(), mine)
        others = holder_aiohttp.MacaroonAuth(make_token(), other)
        async with holder_aiohttp.certificate_session(others, server.ca, middlewares=(auth,)) as session:
            return await session.post(server.url(f"/{TEMPER}/token"))

    return asyncio.run(main())


OUTSIDE: dict[str, tuple[Sends, str]] = {
    "requests.post": (requests_alone, "session that certificate_session made"),
    "requests with cert=": (requests_with_cert, "session that certificate_session made"),
    "requests, another adapter mounted": (requests_mounted, "session that certificate_session made"),
    "requests, another certificate": (requests_of_another, "same ClientCertificate object"),
    "httpx.post": (httpx_alone, "session that certificate_client"),
    "httpx, a kept connection": (httpx_kept, "session that certificate_client"),
    "httpx, another transport mounted": (httpx_mounted, "session that certificate_client"),
    "httpx, a mock": (httpx_mocked, "session that certificate_client"),
    "httpx, another certificate": (httpx_of_another, "same ClientCertificate object"),
    "httpx async": (httpx_async, "async_certificate_client"),
    "aiohttp": (aiohttp_alone, "session that certificate_session made"),
    "aiohttp, a session made by hand": (aiohttp_by_hand, "session that certificate_session made"),
    "aiohttp with ssl=": (aiohttp_with_ssl, "takes no ssl="),
    "aiohttp, another certificate": (aiohttp_of_another, "same ClientCertificate object"),
}


@pytest.fixture
def other(tmp_path: Path, other_pair: Pair) -> ClientCertificate:
    files = Files(tmp_path / "other.pem", tmp_path / "other.key")
    files.write(other_pair)
    return ClientCertificate(files.certificate, files.key)


@pytest.mark.parametrize(("sends", "says"), OUTSIDE.values(), ids=OUTSIDE)
def test_outside_its_session_an_auth_raises(
    server: Server, certificate: ClientCertificate, other: ClientCertificate, sends: Sends, says: str
) -> None:
    """A MacaroonAuth raises outside a session made for its certificate, and no request arrives."""
    with pytest.raises(SettingsError, match=says):
        sends(server, certificate, other)
    assert server.asked(TEMPER) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"proxy": "http://127.0.0.1:9"},
        {"verify": False},
        {"cert": "c.pem"},
        {"transport": None},
        {"mounts": {}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_client_with_other_connections_is_not_made(
    certificate: ClientCertificate, settings: dict[str, Any]
) -> None:
    """A setting of httpx that would take another connection is refused when the client is made."""
    auth = holder_httpx.MacaroonAuth(make_token(), certificate)
    for factory in (holder_httpx.certificate_client, holder_httpx.async_certificate_client):
        with pytest.raises(SettingsError, match=f"leave out {next(iter(settings))}"):
            factory(auth, **settings)


@pytest.mark.parametrize("setting", ["connector", "connector_owner", "request_class"])
def test_an_aiohttp_session_with_other_connections_is_not_made(
    certificate: ClientCertificate, setting: str
) -> None:
    """A setting of aiohttp that would take another connection is refused when the session is made."""
    auth = holder_aiohttp.MacaroonAuth(make_token(), certificate)
    with pytest.raises(SettingsError, match=f"leave out {setting}"):
        holder_aiohttp.certificate_session(auth, **{setting: None})


def test_a_trace_of_the_caller_is_kept(server: Server, certificate: ClientCertificate) -> None:
    """The guard of httpx requests takes the place of the caller's trace function only until they are sent."""
    events: list[str] = []
    auth = holder_httpx.MacaroonAuth(make_token(), certificate)
    with holder_httpx.certificate_client(auth, server.ca) as client:
        extensions = {"trace": lambda event, _info: events.append(event)}
        assert client.get(server.url("/api"), extensions=extensions).status_code == 200
    assert "http11.send_request_headers.started" in events


def test_a_nested_request_changes_no_redirect(server: Server, certificate: ClientCertificate) -> None:
    """A request of another middleware lets no child follow a redirect to another origin (aiohttp)."""
    elsewhere = server.url("/echo", host="127.0.0.1")

    async def nosy(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        if "aside" not in request.url.query:
            async with request.session.get(elsewhere, params={"aside": "before"}) as aside:
                await aside.read()
        response = await handler(request)
        if "aside" not in request.url.query:
            async with request.session.get(elsewhere, params={"aside": "after"}) as aside:
                await aside.read()
        return response

    async def main() -> Any:
        auth = holder_aiohttp.MacaroonAuth(make_token(), certificate)
        async with (
            holder_aiohttp.certificate_session(auth, server.ca, middlewares=(nosy,)) as session,
            session.get(server.url("/redirect"), params={"to": elsewhere}) as answer,
        ):
            return await answer.json(content_type=None)

    assert asyncio.run(main())["authorization"] is None


def close_the_first(service: Silent, connection: ssl.SSLSocket) -> None:
    """Close the first connection with a request for `/`, and answer all others."""
    request = service.read_whole(connection)
    if sum(one.startswith(b"GET / ") for one in service.asked) != 1 or b"GET /aside" in request:
        connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["the same origin", "another origin"])
def test_a_nested_request_changes_no_repetition(
    server: Server, certificate: ClientCertificate, tmp_path: Path, *, is_elsewhere: bool
) -> None:
    """A request that aiohttp sends again carries a child as before, also after another middleware's own."""
    cas = tmp_path / "cas.pem"

    async def main(closing: str) -> None:
        aside = closing + "/aside" if is_elsewhere else server.url("/echo", host="127.0.0.1")

        async def nosy(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
            if str(request.url) != aside:
                async with request.session.get(aside) as answer:
                    await answer.read()
            return await handler(request)

        auth = holder_aiohttp.MacaroonAuth(make_token(), certificate)
        url = f"{server.url('/redirect')}?to={closing}/" if is_elsewhere else closing
        async with holder_aiohttp.certificate_session(auth, cas, middlewares=(nosy,)) as session:
            (await session.get(url)).close()

    with silent_service(tmp_path, close_the_first) as service:
        cas.write_bytes(server.ca.read_bytes() + service.ca.read_bytes())
        asyncio.run(main(service.url))
    sent = [one for one in service.asked if one.startswith(b"GET / ")]
    assert [b"Authorization: Bearer" in one for one in sent] == [not is_elsewhere] * 2
