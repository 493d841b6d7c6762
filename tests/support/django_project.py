"""A Django project whose views the guard stands before; its settings change with each application."""

from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings

PACKAGE = "tests.support"

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "macaroon_cbat.resource.django.GuardMiddleware",
        ],
        SECRET_KEY="of the tests",
        ROOT_URLCONF=f"{PACKAGE}.django_urls",
    )
    django.setup()


def changed(guarding: dict[str, Any], urls: Any) -> override_settings:
    """Return the project's settings with these of the guard, for the length of a block."""
    names = {name.upper(): value for name, value in guarding.items()}
    return override_settings(MACAROON_CBAT=names, ROOT_URLCONF=urls)


def wsgi_application(guarding: dict[str, Any], urls: Any = f"{PACKAGE}.django_urls") -> Callable[..., Any]:
    """Return the project under WSGI, with sync views."""
    with changed(guarding, urls):
        handler = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        with changed(guarding, urls):
            return handler(environ, start_response)

    return app


def asgi_application(
    guarding: dict[str, Any], urls: Any = f"{PACKAGE}.django_async_urls"
) -> Callable[..., Any]:
    """Return the project under ASGI, with async views."""
    with changed(guarding, urls):
        handler = ASGIHandler()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with changed(guarding, urls):
            await handler(scope, receive, send)

    return app
