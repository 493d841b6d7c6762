"""A gateway under a service manager, and the probes of its own page."""

import json
import signal
from contextlib import closing
from pathlib import Path

from tests.support.command_line import API, KEY_FILE
from tests.support.ports import free_port
from tests.support.service_manager import Manager, managed
from tests.walks.test_management import ask

POLICY = """\
audience = "{audience}"
keys = "keys.json"
[listen]
http = "unix:gateway.sock"
metrics = "127.0.0.1:{port}"
[proxy]
kind = "nginx"
trust = ["unix"]
[[rule]]
path = "/"
scope = "read"
"""


def test_a_gateway_tells_and_is_probed(tmp_path: Path) -> None:
    """READY, RELOADING and STOPPING come as from the service, and the page answers probes beside metrics."""
    port = free_port()
    (tmp_path / "keys.json").write_bytes(KEY_FILE)
    (tmp_path / "keys.json").chmod(0o600)
    policy = tmp_path / "gateway.toml"
    policy.write_text(POLICY.format(audience=API, port=port))
    words = ["macaroon_cbat", "gateway", str(policy)]
    with (
        closing(Manager(tmp_path)) as manager,
        managed(words, tmp_path, NOTIFY_SOCKET=str(manager.path)) as process,
    ):
        assert manager.hear()["READY"] == "1"
        assert ask(port, "/livez")[0] == 200
        status, body = ask(port, "/readyz")
        assert (status, json.loads(body)) == (200, {"status": "ready", "checks": {"feeds": "ok"}})
        assert ask(port, "/metrics")[0] == 200
        process.send_signal(signal.SIGHUP)
        assert [set(one) for one in manager.hear_until("READY")] == [
            {"RELOADING", "MONOTONIC_USEC"},
            {"READY"},
        ]
        process.terminate()
        assert manager.hear() == {"STOPPING": "1"}
        assert process.wait(60) == 0
