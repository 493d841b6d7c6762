"""django-oauth-toolkit as a resource server, over TLS: `python -m tests.support.relying.django_server '{…}'`.

Settings as those of `flask_server`. The CA of the service is in REQUESTS_CA_BUNDLE.
"""

import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve

urlpatterns: list[Any] = []


def configure(settings: dict[str, Any]) -> None:
    """Configure Django and the toolkit, and make their tables."""
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"]
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{settings['folder']}/django.db"}
    django_settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["localhost"],
        INSTALLED_APPS=apps,
        DATABASES={"default": database},
        MIGRATION_MODULES={"contenttypes": None, "auth": None, "oauth2_provider": None},
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        OAUTH2_PROVIDER={
            "RESOURCE_SERVER_INTROSPECTION_URL": settings["endpoint"],
            "RESOURCE_SERVER_INTROSPECTION_CREDENTIALS": (settings["client_id"], settings["client_secret"]),
            "RESOURCE_SERVER_TOKEN_RESOURCE_VALIDATOR": None,
        },
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def add_view() -> None:
    """Route a protected view; the toolkit can be imported once Django is configured."""
    from oauth2_provider.decorators import protected_resource

    @protected_resource(scopes=["read"])  # type: ignore[misc] # the toolkit is untyped
    def invoices(request: HttpRequest) -> HttpResponse:
        return HttpResponse("let in")

    urlpatterns.append(path("invoices", invoices))


def make_app() -> Any:
    """Return the application without the certificate: the toolkit takes all of the environment for text."""
    app = get_wsgi_application()

    def without_certificate(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop(PEER_CERTIFICATE)
        return app(environ, start_response)

    return without_certificate


def main() -> None:
    """Serve until SIGTERM; say the port."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    configure(settings)
    add_view()
    files = development_certificates(Path(settings["folder"]))
    serve(
        make_app,
        port=settings["port"],
        certificate=files.certificate,
        key=files.key,
        on_ready=lambda _, port: print(f"ready {port}", flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    main()
