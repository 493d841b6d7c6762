"""Streams of revocations through a real nginx: ours hands each line on, and one that buffers is noticed."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from macaroon_cbat.resource import RevocationFeed, ServiceConnection
from tests.support.certificates import certified
from tests.support.command_line import with_database
from tests.support.deploy_config import written
from tests.support.follower import grant_of
from tests.support.ports import free_port
from tests.support.proxies.processes import nginx_process
from tests.support.service_process import API, Service
from tests.support.tls_servers import wait_until

PROXY = {"MACAROON_CBAT_CERTIFICATE_FORMAT": "nginx", "MACAROON_CBAT_TRUSTED_PROXIES": "unix"}
BUFFERS = "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"


@contextmanager
def behind_nginx(folder: Path, directives: str = "") -> Iterator[tuple[Service, ServiceConnection]]:
    """Run the service behind a generated nginx with these directives more; give a follower's connection."""
    port, path = free_port(), folder / "service.sock"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    for name, text in (("secret", b"known-to-nginx-and-service"), ("client.pem", b"")):
        (folder / name).write_bytes(text)
        (folder / name).chmod(0o600)
    identity = certified("CN=invoices")
    (folder / "client.pem").write_bytes(identity.key_pem + identity.pem)
    service = Service(with_database(folder / "data"), port)
    secret = service.add("invoices", "--scope", "keys revocations", "--serves", API)
    written(
        "nginx-service", folder, "--listen", f"127.0.0.1:{port}", "--cert", folder / "server.pem", "--key",
        folder / "server.pem", "--secret-file", folder / "secret", "--upstream", f"unix:{path}",
    )  # fmt: skip
    config, known = folder / "nginx.conf", "client_max_body_size 1m;"
    assert known in config.read_text()
    config.write_text(config.read_text().replace(known, f"{known} {directives}"))
    variables = PROXY | {"MACAROON_CBAT_PROXY_SECRET_FILE": str(folder / "secret")}
    with (
        service.running("--host", f"unix:{path}", "--socket-mode", "666", **variables),
        nginx_process(folder, port),
    ):
        files = {"certificate": folder / "client.pem", "ca": folder / "ca.pem"}
        yield service, ServiceConnection(service.issuer, "invoices", secret, timeout=20, **files)


def revoke(service: Service, name: str) -> None:
    service.command("revoke", "--force", "client", name)


def test_a_generated_nginx_hands_lines_on(tmp_path: Path) -> None:
    """Each revocation comes through the generated nginx as a line of one and the same answer."""
    with behind_nginx(tmp_path) as (service, connection):
        cursor = json.loads(connection.revocations("0", 0))["cursor"]
        with closing(connection.stream(cursor, 30)) as lines:
            assert json.loads(next(lines))["decisions"] == []
            for name in ("one", "two"):
                revoke(service, name)
                pages = iter(lambda: json.loads(next(lines))["decisions"], [])
                assert [row[1] for row in next(page for page in pages if page)] == [name]


def test_a_feed_behind_a_buffering_nginx_does_without_streams(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A feed whose streams a proxy keeps back says so, and hears of revocations all the same."""
    with behind_nginx(tmp_path, BUFFERS) as (service, connection):
        connection.service.timeout = connection.timeout = 3
        feed = RevocationFeed(connection, max_staleness=600, monotonic=quickly)
        feed.start()
        wait_until(lambda: "no stream of revocations comes through" in caplog.text)
        revoke(service, "soon")
        wait_until(lambda: feed.reason(grant_of("soon"), None) is not None)
        feed.stop()


def quickly() -> float:
    """Tell a time that passes ten times faster, as do the seconds until a stream is asked for again."""
    return time.monotonic() * 10
