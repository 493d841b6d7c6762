"""A service whose issuer has a path, behind a proxy that keeps or strips it (RFC 8414 3.1)."""

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import PathPrefix, TargetUri, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.databases import NOW
from tests.support.service import SECRETS, basic, grant_of, refused, server_metadata

ISSUER = "https://as.example/auth"
BEFORE = "/.well-known/oauth-authorization-server/auth"
ARRIVALS = {
    "kept": ({}, "/auth"),
    "stripped": ({"root_path": ""}, ""),
    "replaced": ({"root_path": "/x"}, "/x"),
}


@pytest.fixture(params=ARRIVALS.values(), ids=ARRIVALS)
def arriving(request, start):
    """Start a service whose proxy keeps, strips or replaces the issuer's path; with where requests arrive."""
    changes, root = request.param
    return start(is_kept=True, issuer=ISSUER, **changes), root


def ask(service, path, token, certificate, method="GET", **request):
    headers = {"Authorization": f"Bearer {attenuate(token, [confirmation(certificate.thumbprint)])}"}
    return service.open(path, certificate, method=method, headers=headers, **request)


@pytest.fixture
def operating(arriving, certificate):
    """Return the service, where its routes are, and an administrator's token."""
    service, root = arriving
    service.stores.clients.add("ops", server_metadata(scope="admin", serves=()), secret="s" * 22, now=NOW)
    headers = {"Authorization": basic("ops", "s" * 22)}
    form = {"grant_type": "client_credentials", "resource": ISSUER}
    answer = service.open(root + "/oauth2/token", data=form, headers=headers)
    return service, root, answer.json["access_token"]


def test_the_metadata_are_before_the_path(arriving):
    """The metadata are at the one URL that RFC 8414 gives the issuer, and name endpoints below its path."""
    service, root = arriving
    document = service.open(BEFORE, method="GET").json
    assert document["issuer"] == ISSUER
    urls = [url for name, url in document.items() if name.endswith("_endpoint")]
    assert all(url.startswith(ISSUER + "/") for url in urls)
    statuses = [service.open(root + url.removeprefix(ISSUER), method="PUT").status_code for url in urls]
    assert set(statuses) == {405}
    assert service.open(root + "/.well-known/oauth-authorization-server", method="GET").json == document


def test_other_paths_are_not_routed(arriving):
    """A path that requests do not arrive at by the deployer's word leads nowhere, the path twice included."""
    service, root = arriving
    for other in {"", "/auth", "/x", "/auth/auth", "/AUTH", "/auth/", "/auth/x/..", "/auth/."} - {root}:
        refused(service.open(other + "/oauth2/token"), 404, "not_found")


def test_a_prefix_in_a_header_moves_nothing(arriving, certificate):
    """A prefix that the headers of a request name has no part in routing."""
    service, root = arriving
    headers = {"X-Forwarded-Prefix": "/other", "X-Script-Name": "/other", "Script-Name": "/other"}
    assert service.open(root + "/openapi.json", method="GET", headers=headers).status_code == 200
    refused(service.open("/other/openapi.json", method="GET", headers=headers), 404, "not_found")


def test_the_service_itself_has_the_issuer_as_audience(operating, certificate):
    """A token for the service has the issuer with its path as audience, and opens its endpoints."""
    service, root, token = operating
    assert grant_of(token).aud == ISSUER
    assert ask(service, root + "/admin/clients", token, certificate).status_code == 200


CAVEATS = {
    "path": (PathPrefix("/auth/admin"), 200),
    "target": (TargetUri(ISSUER + "/admin/clients"), 200),
    "another path": (PathPrefix("/auth/resource"), 401),
    "the path as it arrives": (PathPrefix("/admin"), 401),
    "the path twice": (PathPrefix("/auth/auth"), 401),
    "a target without the path": (TargetUri("https://as.example/admin/clients"), 401),
    "another host": (TargetUri("https://other.example/auth/admin/clients"), 401),
}


@pytest.mark.parametrize(("caveat", "status"), CAVEATS.values(), ids=CAVEATS)
def test_caveats_name_the_public_path(operating, certificate, caveat, status):
    """A holder restricts a token to the URL that it knows, whatever path arrives behind the proxy."""
    service, root, token = operating
    child = attenuate(token, [caveat])
    assert ask(service, root + "/admin/clients", child, certificate).status_code == status


def test_no_other_issuer_of_the_host_is_meant(operating):
    """A token for the service is not asked for by the host alone, nor by a path like its own."""
    service, root, _ = operating
    headers = {"Authorization": basic("ops", "s" * 22)}
    for other in ("https://as.example", "https://as.example/AUTH", ISSUER + "/", ISSUER + "/x"):
        form = {"grant_type": "client_credentials", "resource": other}
        refused(service.open(root + "/oauth2/token", data=form, headers=headers), 400, "invalid_target")


def test_the_aliases_have_a_path_of_their_own(start, certificate):
    """The aliases and the API document name the URL for client certificates with its path (RFC 8705 5)."""
    service = start(issuer=ISSUER, mtls_url="https://mtls.example/m")
    document = service.open(BEFORE, method="GET").json
    assert document["mtls_endpoint_aliases"]["token_endpoint"] == "https://mtls.example/m/oauth2/token"
    assert service.open("/auth/openapi.json", method="GET").json["servers"] == [
        {"url": "https://mtls.example/m"}
    ]


def test_the_audit_log_names_the_route(start, certificate, tmp_path):
    """Refusals below a path are those of the token endpoint, whose counts and lines do not change."""
    service = start(issuer=ISSUER, audit_log=str(tmp_path / "audit.log"))
    refused(
        service.open("/auth/oauth2/token", data={"grant_type": "client_credentials"}), 401, "invalid_client"
    )
    line = (tmp_path / "audit.log").read_text()
    assert '"event":"token.refused"' in line
    assert '"endpoint":"/auth/oauth2/token"' in line


@pytest.mark.parametrize("path", ["auth", "/auth/", "//", "/a/../b", "/<x>", "/%61", "/a b"])
def test_a_root_path_that_is_none_is_refused(start, path):
    """A root path that is no plain path is refused with what it must be like."""
    with pytest.raises(SettingsError, match="ROOT_PATH must be / or like /auth"):
        start(issuer=ISSUER, root_path=path)


def test_the_scopes_of_clients_are_named(new_service):
    """The metadata name what clients may ask for at resource servers, and no scope of the service's own."""
    path, service = "/.well-known/oauth-authorization-server", new_service
    service.stores.clients.add(
        "ops", server_metadata(scope="admin", serves=()), secret=SECRETS["api"], now=NOW
    )
    assert service.open(path, method="GET").json["scopes_supported"] == ["audit", "read", "write"]


@pytest.mark.parametrize(
    "spelled", ["https://AS.example", "https://as.example:443", "https://as.example:0443"]
)
@pytest.mark.parametrize(
    ("host", "status"), [("as.example", 200), ("as.example:444", 401), ("as.exampl", 401)]
)
def test_the_spelling_of_the_issuer_s_host_is_nothing(start, certificate, spelled, host, status):
    """A caveat about the target is met where the issuer is written in other letters or with its port."""
    service = start(is_kept=True, issuer=spelled)
    service.stores.clients.add("ops", server_metadata(scope="admin", serves=()), secret="s" * 22, now=NOW)
    form = {"grant_type": "client_credentials", "resource": spelled}
    answer = service.open("/oauth2/token", data=form, headers={"Authorization": basic("ops", "s" * 22)})
    child = attenuate(answer.json["access_token"], [TargetUri(f"https://{host}/admin/clients")])
    assert ask(service, "/admin/clients", child, certificate).status_code == status
