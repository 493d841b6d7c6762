"""The start of the service: `GET /` says what it is, as a page to browsers, and the manual as pages."""

from collections.abc import Callable, Mapping
from functools import cache

from flask import Flask, Response, request
from msgspec import Struct

from macaroon_cbat.errors import NotFound
from macaroon_cbat.files.chapters import drawings, summary, topics
from macaroon_cbat.macaroon.issuers import metadata_url
from macaroon_cbat.service.http.operations import Operation
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.pages.markdown import rendered
from macaroon_cbat.service.pages.rendering import page
from macaroon_cbat.service.pages.routes import add_page, prefers_page


class Home(Struct, frozen=True):
    """The name of the software, the issuer, and URLs: of its metadata (RFC 8414), API document and manual."""

    service: str
    issuer: str
    metadata: str
    openapi: str
    guide: str


HOME = Operation(
    method="GET",
    path="/",
    label="home",
    summary="Learn what this service is; a browser gets a page",
    caller="any",
    answer=Home,
)
_GUIDE = "/guide"


def home_routes(app: Flask, locations: Locations, device_path: str | None = None) -> None:
    """Route the start page and the manual; `device_path` is where a person enters a code, if anywhere."""
    home = _home(locations, device_path)
    # Both spellings, for a redirect from one to the other would name the Host of the request.
    app.add_url_rule(
        locations.route(HOME.path), HOME.endpoint, home, methods=[HOME.method], strict_slashes=False
    )
    guide = locations.issuer + _GUIDE
    manual = cache(topics)
    html = cache(lambda topic: rendered(manual()[topic], guide, drawings()))

    def chapters() -> Response:
        listed = [
            {"name": name, "url": f"{guide}/{name}", "summary": summary(text)}
            for name, text in manual().items()
        ]
        return page("guide.html", {"topics": listed})

    def chapter(topic: str) -> Response:
        if topic not in manual():
            raise NotFound(f"the guide has no topic of this name: find the topics at {guide}")
        return page("chapter.html", {"topic": topic, "guide": guide, "text": html(topic)})

    add_page(app, "GET", _GUIDE, chapters, locations.root_path, label="guide")
    add_page(app, "GET", f"{_GUIDE}/<topic>", chapter, locations.root_path, label="guide chapter")


def metadata(base: str) -> Mapping[str, object]:
    """Return the member of the metadata document about the guide, which people read (RFC 8414 2)."""
    return {"service_documentation": base + _GUIDE}


def _home(locations: Locations, device_path: str | None) -> Callable[[], Response]:
    issuer = locations.issuer
    found = Home(
        service="macaroon_cbat",
        issuer=issuer,
        metadata=metadata_url(issuer),
        openapi=f"{issuer}/openapi.json",
        guide=issuer + _GUIDE,
    )
    content = {
        "metadata": found.metadata,
        "openapi": found.openapi,
        "guide": found.guide,
        "device": None if device_path is None else issuer + device_path,
    }

    def home() -> Response:
        if prefers_page(request):
            return page("home.html", content)
        response = answer(found, cacheable=True)
        response.headers["Vary"] = "Accept"
        return response

    return home
