"""A service at which people sign in by a link: `python -m tests.support.service_for_people DATA PORT`.

It is what an application makes of `create_app(people=...)` that knows its people already.
"""

import sys
from pathlib import Path

from flask import Flask, Response, request

from macaroon_cbat.service import create_app
from macaroon_cbat.service.pages.rendering import leave_for, page
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve
from tests.support.people import COOKIE, SIGN_IN, PeopleByCookie

CLIENT, OTHER = "https://client.example", "https://other.example"
"""A client that redirects on to another site: both are this server under other names."""


def main() -> None:
    """Serve until SIGTERM."""
    data, port = Path(sys.argv[1]), int(sys.argv[2])
    settings = settings_from_environment(data=data, issuer=f"https://localhost:{port}")
    files = development_certificates(data)

    def make_app() -> Flask:
        app = create_app(settings, people=PeopleByCookie())
        app.add_url_rule(SIGN_IN.partition("?")[0], "sign in", _sign_in)
        app.add_url_rule("/form-that-leaves", "leave", _leave, methods=["GET", "POST"])
        app.add_url_rule("/callback", "callback", lambda: _led_to(f"{OTHER}/after"))
        app.add_url_rule("/after", "after", lambda: "arrived")
        return app

    serve(
        make_app,
        port=port,
        certificate=files.certificate,
        key=files.key,
        on_ready=lambda *_: print("ready", flush=True),  # noqa: T201 # the test waits for it
    )


def _sign_in() -> Response:
    """Sign Ada in, and lead her back."""
    response = _led_to(request.args["then"])
    response.set_cookie(COOKIE, "ada.1", secure=True, httponly=True, samesite="Lax")
    return response


def _leave() -> Response:
    """Show a form under the policy of the pages, whose answer sends the browser on to a client."""
    if request.method == "POST":
        url = f"{CLIENT}/callback?code=1&state=2"
        if "redirects" in request.form:
            return _led_to(url)
        return leave_for(url, "Client")
    response = page("leave.html", {"name": "Client", "url": "/"}, form_targets=[CLIENT])
    form = '<form method="post"><button>Leave</button><button name="redirects">Redirect</button></form>'
    response.set_data(form)
    return response


def _led_to(url: str) -> Response:
    response = Response(status=303)
    response.headers["Location"] = url
    return response


if __name__ == "__main__":
    main()
