"""One request of a fake holder through the test client of each framework: the status of its answer."""

import asyncio
import io
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import httpx
from django.test import AsyncClient, Client
from fastapi import Depends, FastAPI
from flask import Flask

from macaroon_cbat import AudienceKeys, Principal
from macaroon_cbat.resource import Guard, asgi, starlette, wsgi
from macaroon_cbat.testing import FakeHolder, fake_keys
from tests.support import django_project
from tests.support.denying_applications import LATER_URLS, URLS

with warnings.catch_warnings():
    # Starlette asks for a successor of httpx, which no release of FastAPI's TestClient needs.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

KEYS = fake_keys()

Status = Callable[..., int]
"""Takes a holder and the options of its request, for `GET /invoices`, which requires the scope read."""


def through_flask(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    app = Flask("shop")
    guard = Guard(app, keys=keys)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "in"))
    own = {"Accept": "application/json"}
    return app.test_client().get("/invoices", headers=own, **holder.flask(*args, **options)).status_code


def through_django(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    with django_project.changed({"keys": keys}, URLS):
        return int(Client().get("/invoices", **holder.django(*args, **options)).status_code)


def through_async_django(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    client = holder.django_async(AsyncClient())
    with django_project.changed({"keys": keys}, LATER_URLS):
        response: Any = asyncio.run(client.get("/invoices", headers=holder.headers(*args, **options)))
    return int(response.status_code)


def fastapi(keys: AudienceKeys = KEYS) -> tuple[FastAPI, starlette.Guard]:
    app = FastAPI()
    guard = starlette.Guard(app, keys=keys)

    @app.get("/invoices")
    async def invoices(principal: Annotated[Principal, Depends(guard.require("read"))]) -> str:
        return principal.client_id

    return app, guard


def through_fastapi(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    client = TestClient(holder.over_tls(fastapi(keys)[0]))
    return client.get("/invoices", headers=holder.headers(*args, **options)).status_code


def through_httpx(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    async def send() -> int:
        transport = httpx.ASGITransport(holder.over_tls(fastapi(keys)[0]))
        async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as client:
            return (await client.get("/invoices", headers=holder.headers(*args, **options))).status_code

    return asyncio.run(send())


def through_wsgi(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    def view(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/invoices",
        "wsgi.input": io.BytesIO(),
    }
    started: list[str] = []
    app = wsgi.Guard(keys=keys).require("read")(view)
    app({**environ, **holder.wsgi(*args, **options)}, lambda status, *_: started.append(status))  # type: ignore[arg-type, func-returns-value, return-value]
    return int(started[0][:3])


def through_asgi(holder: FakeHolder, *args: Any, keys: AudienceKeys = KEYS, **options: Any) -> int:
    sent: list[Any] = []

    async def view(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/invoices", "root_path": ""}
    app = asgi.Guard(keys=keys).require("read")(view)
    asyncio.run(app({**scope, **holder.asgi(*args, **options)}, receive, send))
    return int(sent[0]["status"])


CLIENTS: dict[str, Status] = {
    "Flask": through_flask,
    "Django": through_django,
    "Django, async": through_async_django,
    "FastAPI": through_fastapi,
    "httpx": through_httpx,
    "WSGI": through_wsgi,
    "ASGI": through_asgi,
}
