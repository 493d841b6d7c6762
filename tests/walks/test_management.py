"""The management page of a running service: probes, metrics of all workers, and one id through all logs."""

import json
import os
import signal
import sqlite3
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics

from tests.support.command_line import with_database
from tests.support.metrics import Caller, measured, scrape, workers_of
from tests.support.tls_servers import wait_until


def ask(port: int, path: str, accept: str = "*/*") -> tuple[int, str]:
    """Return status and body of a page."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Caller, Path, int]]:
    """Run a service of two workers that logs in JSON, and load it."""
    data = with_database(tmp_path_factory.mktemp("management") / "data")
    with measured(data, 2, MACAROON_CBAT_LOG_FORMAT="json") as (service, caller, port):
        caller.load(rounds=3)
        yield port, caller, data, service.pid


def test_probes_say_what_is_judged(walked: tuple[int, Caller, Path, int]) -> None:
    """The process lives, and is ready: database, keys, wrapping key and certificate are each named."""
    port, *_ = walked
    assert ask(port, "/livez") == (200, '{\n "status": "live"\n}\n')
    status, body = ask(port, "/readyz")
    names = ("database", "keys", "wrapping_key", "certificate")
    assert (status, json.loads(body)) == (200, {"status": "ready", "checks": dict.fromkeys(names, "ok")})


def test_the_latencies_of_all_workers_are_counted_once(walked: tuple[int, Caller, Path, int]) -> None:
    """Each worker shows the same histogram of all requests, by endpoint and class of status."""
    port, *_ = walked
    found = scrape(port)
    rounds = 8 * 3
    assert found["request_seconds_count{endpoint=token,status=2xx}"] == 2 * rounds
    assert found["request_seconds_count{endpoint=token,status=4xx}"] == 2 * rounds
    assert found["request_seconds_bucket{endpoint=introspect,le=+Inf,status=2xx}"] == 2 * rounds
    assert found["request_seconds_sum{endpoint=token,status=2xx}"] > 0
    seconds = {name: value for name, value in found.items() if name.startswith("request_seconds")}
    again = [scrape(port) for _ in range(8)]
    assert [{name: one[name] for name in seconds} for one in again] == [seconds] * 8


def test_the_state_of_all_processes_is_shown(walked: tuple[int, Caller, Path, int]) -> None:
    """Build, processes, memory, open files, start, connections and expiry are summed over processes."""
    port, _, _, pid = walked
    found = scrape(port)
    [build] = [name for name in found if name.startswith("build_info{")]
    assert found[build] == 1
    assert found["processes{}"] == 1 + len(workers_of(pid)) == 3
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *workers_of(pid))]
    assert found["process_resident_memory_bytes{}"] == pytest.approx(sum(pages) * 4096, rel=0.2)
    assert found["process_open_fds{}"] > len([*Path(f"/proc/{pid}/fd").iterdir()])
    assert found["process_start_time_seconds{}"] > 1_600_000_000
    assert {"database_connections{state=idle}", "database_connections{state=in use}"} <= found.keys()


@pytest.mark.parametrize(
    ("accept", "parse", "end"),
    [("text/plain", plain_metrics, "\n"), ("application/openmetrics-text", open_metrics, "# EOF\n")],
    ids=["Prometheus", "OpenMetrics"],
)
def test_the_text_is_what_parsers_accept(walked, accept, parse, end) -> None:
    """Prometheus's own parsers read the page in either format, and find the same counters."""
    port, *_ = walked
    text = ask(port, "/metrics", accept)[1]
    assert text.endswith(end)
    families = {family.name.removesuffix("_total"): family for family in parse(text)}
    assert families["macaroon_cbat_request_seconds"].type == "histogram"
    assert {sample.value for sample in families["macaroon_cbat_tokens_minted"].samples} == {48, 0}


def test_one_id_is_in_answer_and_log(walked: tuple[int, Caller, Path, int]) -> None:
    """The id of an answer finds the audit line of its request in the log, whose every line is JSON."""
    _, caller, data, _ = walked
    with caller.connect() as one:
        one.request("GET", "/nowhere", headers={"X-Request-ID": "chosen-by-the-client"})
        name = one.getresponse().headers["X-Request-ID"]
    lines = [json.loads(line) for line in (data.parent / "data.log").read_text().splitlines()]
    [found] = [line for line in lines if line.get("request_id") == name]
    assert (found["event"]["request_id"], found["event"]["error"]) == (name, "not_found")
    assert {"at", "level", "logger", "process"} <= found.keys()
    assert not any(line.get("request_id") == "chosen-by-the-client" for line in lines)


def test_a_service_that_stops_is_not_ready(tmp_path: Path) -> None:
    """From the stop signal on the probe says so, while a request under way is finished and still lives."""
    data = with_database(tmp_path / "data")
    with measured(data, 1) as (service, caller, port), caller.connect() as one:
        token = caller.mint(one)
        with closing(sqlite3.connect(data / "macaroon_cbat.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(1) as pool:
                revoked = pool.submit(caller.post, one, "/oauth2/revoke", "billing", token=token)
                wait_until(lambda: scrape(port)["database_connections{state=in use}"] == 1)
                os.kill(service.pid, signal.SIGTERM)
                wait_until(lambda: ask(port, "/readyz")[0] == 503)
                assert json.loads(ask(port, "/readyz")[1])["status"] == "stopping"
                assert ask(port, "/livez")[0] == 200
                other.execute("ROLLBACK")
                assert revoked.result()[0] == 200
