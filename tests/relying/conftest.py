from collections.abc import Iterator

import pytest

from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
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
