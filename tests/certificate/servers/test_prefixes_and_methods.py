"""Prefixes and methods that a client writes, through real servers to guards of each framework."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.caveats import Method, PathPrefix, TargetUri
from tests.support.servers.running import Server, running
from tests.support.tokens import token

FRAMEWORKS = ["flask", "wsgi", "django_wsgi"]
BINDS = ["tcp", "unix"]


def bearer(*caveats: object) -> str:
    return "Authorization: Bearer " + token(*caveats)


ABOUT = {
    "path": PathPrefix,
    "htu": lambda path: TargetUri(f"https://api.example{path}"),
}


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Name each framework."""
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=BINDS)
def gunicorn(
    request: pytest.FixtureRequest, framework: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run a guarded application under gunicorn, which takes SCRIPT_NAME from headers of its neighbours."""
    folder = tmp_path_factory.mktemp("g")
    bind = "tcp" if request.param == "tcp" else f"unix:{folder}/s"
    variables = {"FRAMEWORK": framework}
    with running("gunicorn", bind, folder, proxy={}, variables=variables) as server:
        yield server


@pytest.mark.parametrize(
    "caveat", [PathPrefix("/public"), *(make("/public/invoices") for make in ABOUT.values())]
)
def test_a_script_name_of_a_header_undoes_no_caveat(gunicorn: Server, caveat: object):
    """A token for /public does not open /invoices by `SCRIPT_NAME: /public`, nor one for the whole path."""
    forged = ("/public/invoices", "SCRIPT_NAME: /public")
    assert gunicorn.send(*forged, bearer(caveat))[0] == 401
    assert gunicorn.send(*forged, bearer())[0] == 200
    log = gunicorn.log.read_text()
    assert "the path is unknown: SCRIPT_NAME is '/public', where the guard's root_path is ''" in log


@pytest.mark.parametrize("prefix", ["/", "/pub", "/public/", "public", ""])
def test_no_other_prefix_does(gunicorn: Server, prefix: str):
    """A token for /public does not open /invoices, whatever part of the path a header calls the prefix."""
    _, body = gunicorn.send("/public/invoices", bearer(PathPrefix("/public")), f"SCRIPT_NAME: {prefix}")
    assert "billing" not in str(body)


def test_the_whole_path_is_judged(gunicorn: Server):
    """Without such a header the path is judged as always."""
    assert gunicorn.send("/invoices", bearer(PathPrefix("/invoices")))[0] == 200
    assert gunicorn.send("/invoices", bearer(PathPrefix("/public")))[0] == 401


def test_the_deployment_s_own_prefix(tmp_path: Path, framework: str):
    """Caveats name the whole path where gunicorn is told SCRIPT_NAME=/app, and the guard root_path=/app."""
    variables = {"FRAMEWORK": framework, "SCRIPT_NAME": "/app"}
    with running("gunicorn", "tcp", tmp_path, proxy={"root_path": "/app"}, variables=variables) as server:
        caveat = bearer(PathPrefix("/app/invoices"))
        assert server.send("/app/invoices", caveat)[0] == 200
        assert server.send("/app/invoices", bearer(PathPrefix("/invoices")))[0] == 401
        _, body = server.send(
            "/appinvoices", bearer(PathPrefix("/appinvoices"))
        )  # which Flask runs as /invoices
        assert "billing" not in str(body)
        assert server.send("/app/app/invoices", caveat, "SCRIPT_NAME: /app/app")[0] == 401


@pytest.mark.parametrize("name", ["waitress", "gunicorn"])
def test_proxy_fix_undoes_no_caveat(tmp_path: Path, framework: str, name: str):
    """Behind ProxyFix(x_prefix=1) a token for /public does not open /invoices by X-Forwarded-Prefix."""
    variables = {"FRAMEWORK": framework, "PROXY_FIX": "yes"}
    with running(name, "tcp", tmp_path, proxy={}, variables=variables) as server:
        forged = "X-Forwarded-Prefix: /public"
        assert server.send("/invoices", bearer(PathPrefix("/public")), forged)[0] == 401
        assert server.send("/invoices", bearer(), forged)[0] == 200


ASGI = {
    "uvicorn, h11": ("uvicorn", {"http": "h11", "root_path": "/app"}),
    "uvicorn, httptools": ("uvicorn", {"http": "httptools", "root_path": "/app"}),
    "hypercorn": ("hypercorn", {"root_path": "/app"}),
    "gunicorn's ASGI worker": (
        "gunicorn",
        {"serves": "asgi", "worker_class": "asgi", "asgi_lifespan": "off", "root_path": "/app"},
    ),
}


@pytest.mark.parametrize("root_path", ["/app", ""])
@pytest.mark.parametrize(("name", "options"), ASGI.values(), ids=ASGI)
def test_a_root_path_of_the_server_s(tmp_path: Path, name: str, options: dict[str, str], root_path: str):
    """A server's root_path is part of the path once the guard knows it, and makes it unknown otherwise."""
    is_known = root_path == "/app"
    with running(name, "tcp", tmp_path, proxy={"root_path": root_path}, **options) as server:
        sent = (
            "/invoices",
            bearer(PathPrefix("/app/invoices")),
            "X-Forwarded-Prefix: /app",
            "SCRIPT_NAME: /app",
        )
        assert server.send(*sent)[0] == (200 if is_known else 401)
        assert server.send("/invoices", bearer(PathPrefix("/invoices")))[0] == 401
        assert server.send("/invoices", bearer())[0] == 200


METHODS_OF = {
    "gevent": ("gevent", {}),
    "werkzeug": ("werkzeug", {}),
    "waitress": ("waitress", {}),
    "gunicorn": ("gunicorn", {}),
    "gunicorn that converts": ("gunicorn", {"permit_unconventional_http_method": True}),
    "embedded": ("embedded", {}),
    "uvicorn, h11": ("uvicorn", {"http": "h11"}),
    "uvicorn, httptools": ("uvicorn", {"http": "httptools"}),
    "hypercorn": ("hypercorn", {}),
    "gunicorn's ASGI worker": (
        "gunicorn",
        {"serves": "asgi", "worker_class": "asgi", "asgi_lifespan": "off"},
    ),
}


@pytest.mark.parametrize(("name", "options"), METHODS_OF.values(), ids=METHODS_OF)
def test_a_method_in_other_letters(tmp_path: Path, name: str, options: dict[str, str]):
    """The method judged is what frameworks dispatch: `delete` is 400, or was DELETE before it came here."""
    with running(name, "tcp", tmp_path, proxy={}, **options) as server:
        for method in ("delete", "Delete", "dELETE"):
            raw = f"{method} /invoices HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            upper = server.exchange(f"{raw}{bearer(Method('DELETE'))}\r\n\r\n".encode())[0]
            own = server.exchange(f"{raw}{bearer(Method(method))}\r\n\r\n".encode())[0]
            reading = server.exchange(f"{raw}{bearer(Method('GET'))}\r\n\r\n".encode())[0]
            converts = name == "hypercorn"
            assert (upper, own, reading) == ((200, 401, 401) if converts else (400, 400, 400))
