"""The service behind a real Envoy: tls_client_auth over the chain that Envoy hands over."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.service import create_app
from tests.support.certificates import Identity, authority, certified
from tests.support.databases import NOW, url_in
from tests.support.proxies.certificates import World
from tests.support.proxies.clients import Ask
from tests.support.proxies.deployment import SECRET, Stand, make_stand
from tests.support.proxies.envoy import QUOTED_ONLY, saying
from tests.support.proxies.rows import Row
from tests.support.proxies.upstreams import on_waitress
from tests.support.service import client_metadata, make_database, settings_in
from tests.support.tls_servers import Client

TODAY = datetime.now(UTC)
ROOT = authority("CN=Root", today=TODAY)
MIDDLE = authority("CN=Sub CA", ROOT, today=TODAY)
SHOWN = certified("CN=billing", MIDDLE, today=TODAY)


@contextmanager
def service_behind(folder: Path) -> Iterator[int]:
    """Run a service that believes Envoy, and trusts the root; give its port."""
    (folder / "root.pem").write_bytes(ROOT.pem)
    make_database(url_in(folder))
    trust = trusted_proxies(["127.0.0.1/32"], secret=SECRET)
    settings = settings_in(
        folder, client_ca=folder / "root.pem", certificate_source=Forwarded("envoy", trust=trust)
    )
    app = create_app(settings)
    stores = app.extensions["macaroon_cbat"]
    metadata = client_metadata(
        token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="cn=billing"
    )
    stores.clients.add("it", metadata, secret=None, now=NOW)
    with closing(stores.database), on_waitress(app) as port:
        yield port


@pytest.fixture(scope="module")
def stand(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with service_behind(tmp_path_factory.mktemp("service")) as port:

        def edit(folder: Path) -> None:
            saying(QUOTED_ONLY)(folder)
            file = folder / "envoy.yaml"
            file.write_text(
                file.read_text().replace(f"port_value: {world.upstream.port}", f"port_value: {port}")
            )

        with make_stand(Row("envoy", "envoy", is_guarded=True, is_shown=True), world, edit) as stand:
            yield stand


def ask(stand: Stand, folder: Path, shown: Identity, *sent: Identity) -> str:
    """Return the answer to a request for a token over a connection with these certificates."""
    file = folder / "client.pem"
    file.write_bytes(shown.key_pem + shown.pem + b"".join(one.pem for one in sent))
    form = "grant_type=client_credentials&client_id=it"
    kind = (("Content-Type", "application/x-www-form-urlencoded"),)
    client = Client(shown.certificate, shown.key, file)
    return stand.ask(Ask("/oauth2/token", "POST", kind, form, client)).outcome


def test_the_chain_that_envoy_hands_over_is_followed(stand: Stand, tmp_path: Path) -> None:
    """A client whose intermediate comes in XFCC's Chain gets a token, and without it, or forged, none."""
    assert ask(stand, tmp_path, SHOWN, MIDDLE) == "200"
    assert ask(stand, tmp_path, SHOWN) == "401"
    forger = authority("CN=Sub CA", authority("CN=Root", today=TODAY), today=TODAY)
    assert ask(stand, tmp_path, certified("CN=billing", forger, today=TODAY), forger) == "401"
