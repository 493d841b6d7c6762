"""Applications as a newcomer writes them: a guard, no proxy, and nothing said about logging."""

from typing import Annotated, Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask

from macaroon_cbat import Principal
from macaroon_cbat.resource import Guard
from macaroon_cbat.resource import starlette as of_starlette
from macaroon_cbat.resource.django import require
from tests.support.tokens import KEYS, NOW

SETTINGS: dict[str, Any] = {"keys": KEYS, "clock": lambda: NOW}

flask_app = Flask("newcomer")
guard = Guard(flask_app, **SETTINGS)


@flask_app.get("/invoices")
@guard.require("read")
def invoices() -> dict[str, Any]:
    return {"client": "let in"}


fastapi_app = FastAPI()
fastapi_guard = of_starlette.Guard(fastapi_app, **SETTINGS)


@fastapi_app.get("/invoices")
async def invoices_of_fastapi(
    principal: Annotated[Principal, Depends(fastapi_guard.require("read"))],
) -> dict[str, Any]:
    return {"client": principal.client_id}


@require("read")
def invoices_of_django(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"client": "let in"})


urlpatterns = [path("invoices", invoices_of_django)]


def django_app(environ: Any, start_response: Any) -> Any:
    """Be a Django project whose settings say nothing about logging."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            MACAROON_CBAT={name.upper(): value for name, value in SETTINGS.items()},
            MIDDLEWARE=["macaroon_cbat.resource.django.GuardMiddleware"],
            ROOT_URLCONF=__name__,
            SECRET_KEY="of the tests",
        )
        django.setup()
    return WSGIHandler()(environ, start_response)
