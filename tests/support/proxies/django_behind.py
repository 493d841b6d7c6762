"""Django as Daphne serves it, its own server: each path says which view ran."""

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x" * 50)
django.setup()


@csrf_exempt
def view(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(f"<{name}>")


urlpatterns = [
    path(name, view, {"name": name}) for name in ("invoices", "health", "health/invoices", "invoices/health")
]
application = get_asgi_application()
