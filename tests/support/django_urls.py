"""Sync views, each under the guard."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from macaroon_cbat.resource.django import require


def view(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Tell whom the guard let in."""
    principal: Any = request.principal
    return JsonResponse({"client": principal.client_id, "scope": sorted(principal.scope)})


urlpatterns = [
    path("open", require()(view)),
    path("invoices", require("read")(view)),
    path("", include([path("both", require("read write")(view)), path("root", require("root")(view))])),
    path("files/<path:rest>", require("read")(view)),
]
