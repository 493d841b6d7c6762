"""Rendered pages: Jinja's templates with one inline style, and the headers that make a browser keep to them.

A page runs no script and loads nothing. The policy allows its one style by a hash, which no injected one has.
"""

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Flask, Response, current_app

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.errors.texts import escaped
from macaroon_cbat.service.locations import Locations

with extra("service"):
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

_PAGES = "macaroon_cbat.pages"
_LONGEST_SHOWN = 100
_MOST_MARKS = 4
"""Marks on one letter that languages use."""
_SOURCE = re.compile(r"(?P<origin>https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?:[/?]|\Z)")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer a browser would send `Origin: null` along with our own forms (Fetch 3.2).
    "Referrer-Policy": "same-origin",
    "Vary": "Accept, Cookie",
}


class _Site(NamedTuple):
    """The pages of one application: its public URL, and the names of the routes that answer with pages."""

    issuer: str
    routes: set[str]


def use_pages(app: Flask, locations: Locations) -> None:
    """Let the application answer with pages of this issuer."""
    app.extensions[_PAGES] = _Site(locations.issuer, set())


def home_url() -> str:
    """Return the URL of the start page."""
    site: _Site = current_app.extensions[_PAGES]
    return site.issuer + "/"


def page_routes(app: Flask) -> set[str]:
    """Return the names of the routes that answer with pages, to read and to add to."""
    site: _Site = app.extensions[_PAGES]
    return site.routes


def page(
    template: str,
    content: Mapping[str, object],
    *,
    status: int = 200,
    form_targets: Iterable[str] = (),
) -> Response:
    """Return the page of a template; the values in `content` are escaped, markup included.

    `form_targets` are the URLs to which the answer to the page's form may redirect: Chromium applies
    form-action to them too (CSP 3, 4.2.3).
    """
    site: _Site = current_app.extensions[_PAGES]
    host = urlsplit(site.issuer).netloc
    text = _templates().get_template(template).render({"issuer": site.issuer, "host": host, **content})
    response = Response(text, status, mimetype="text/html")
    response.headers.update(_HEADERS)
    response.headers["Content-Security-Policy"] = _policy(form_targets)
    return response


def leave_for(url: str, name: str) -> Response:
    """Return the page that sends the browser on to a URL of this client, by itself and by a link.

    The URL must be one that the caller has compared with the registered ones. A redirect would not do: the
    form-action of the page before would block it, and all redirects of the client that follow.
    """
    if _SCHEME.match(url) is None or urlsplit(url).scheme.lower() in ("javascript", "data", "vbscript"):
        raise ValueError("not a URL to leave for")
    response = page("leave.html", {"url": url, "name": name})
    response.headers["Refresh"] = f"0; url={_in_a_header(url)}"
    return response


def plain(value: object) -> str:
    """Return text of a client as one short line, with controls and marks of writing direction escaped."""
    text = whole(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "\u2026"


def whole(value: object) -> str:
    """Return text of a client as one line, all of it; marks in a pile are escaped.

    A letter with many marks is painted over the lines around it, a warning among them.
    """
    return "".join(_calm(escaped(str(value))))


def form_source(url: str) -> str | None:
    """Return the source expression that allows this URL in a policy; None for text that is no URL.

    A policy cannot name an IPv6 address (CSP 3, 2.3.1): its scheme alone is allowed in its place.
    """
    if found := _SOURCE.match(url):
        return found["origin"]
    named = _SCHEME.match(url)
    return None if named is None else f"{named['scheme'].lower()}:"


def _calm(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        yield character if marks <= _MOST_MARKS else character.encode("unicode_escape").decode()


def _policy(form_targets: Iterable[str]) -> str:
    allowed = [source for target in form_targets if (source := form_source(target)) is not None]
    forms = " ".join(dict.fromkeys(["'self'", *allowed]))
    return (
        f"default-src 'none'; style-src '{_style_hash()}'; form-action {forms}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )


def _in_a_header(url: str) -> str:
    """Return a URL in visible ASCII, quotes left out, as it may stand in the header Refresh."""
    return "".join(c if "!" <= c <= "~" and c not in "\"'" else _percent(c) for c in url)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


@cache
def _style() -> str:
    return files(__package__).joinpath("templates", "style.css").read_text(encoding="utf-8")


@cache
def _style_hash() -> str:
    return "sha256-" + b64encode(sha256(_style().encode()).digest()).decode()


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters["plain"] = plain
    templates.filters["whole"] = whole  # nothing that a person decides is cut
    templates.globals["style"] = Markup(_style())  # noqa: S704 # our own file
    return templates
