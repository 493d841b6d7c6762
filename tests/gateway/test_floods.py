"""Refusals of a gateway are bounded in its audit log as the service's are."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.gateway_process import gateway
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, nginx
from tests.support.tls_servers import Client

COUNT = 200


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_written_and_counted_is_all(tmp_path: Path, holder: Client, thief: Client, workers: int):
    """However many stolen tokens come, few lines are written, and the end of a process counts the rest."""
    asked = Asked(token=good(holder.der), certificate=thief.der)
    with gateway(tmp_path, "--workers", str(workers), audit_refusals=5) as running:
        assert {nginx(running, asked).status for _ in range(COUNT)} == {401}
    events = running.audit()
    kinds = Counter(event["event"] for event in events)
    left_out = sum(event["count"] for event in events if event["event"] == "refusals.omitted")
    assert kinds["admission.refused"] + left_out == COUNT
    assert left_out > COUNT / 2
