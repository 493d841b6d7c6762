from collections.abc import Iterator

import pytest

from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.relying.oidc_provider import CLIENT, SECRET, WalkingBrowser, oidc_provider
from tests.support.relying.realm import Realm
from tests.support.service_process import API, Service
from tests.support.tls_servers import make_client


@pytest.fixture(scope="package")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """Run the real service; `plain` and `promising` differ in what they say that they compare."""
    folder = tmp_path_factory.mktemp("relying")
    development_certificates(folder / "data")
    service = Service(folder / "data", free_port())
    realm = Realm(service, make_client(folder, "holder"), make_client(folder, "thief"))
    service.prepare()
    realm.secrets["billing"] = service.add("billing", "--scope", "read write", "--audience", API)
    realm.add_resource_server("plain")
    realm.add_resource_server("promising", "--checks-certificates")
    with service.running():
        yield realm


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service for clients that others wrote; people log in at npm's oidc-provider."""
    data = tmp_path_factory.mktemp("clients") / "data"
    development_certificates(data)
    service = Service(data, free_port())
    service.prepare()
    with oidc_provider(data, f"{service.issuer}/oauth2/callback") as provider:
        upstream = {
            "MACAROON_CBAT_UPSTREAM_ISSUER": provider,
            "MACAROON_CBAT_UPSTREAM_CLIENT_ID": CLIENT,
            "MACAROON_CBAT_UPSTREAM_CLIENT_SECRET": SECRET,
            "MACAROON_CBAT_UPSTREAM_CA": str(service.ca),
        }
        with service.running(**upstream):
            yield service


@pytest.fixture(scope="package")
def browser(service: Service) -> Iterator[WalkingBrowser]:
    """Open a browser for all logins."""
    browser = WalkingBrowser(service.ca)
    yield browser
    browser.close()
