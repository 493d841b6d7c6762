"""A service of its own, and guards that introspect at it."""

import time
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.resource import Introspection
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.feeds import Feeding
from tests.support.guarded_app import make_app
from tests.support.service_process import API, Service, free_port


@pytest.fixture
def alone(feeding: Feeding, tmp_path: Path) -> Feeding:
    """Give a service that the test starts and stops by itself."""
    development_certificates(tmp_path / "data")
    alone = Feeding(Service(tmp_path / "data", free_port()), feeding.holder, {})
    alone.register()
    alone.secrets["asking"] = alone.service.add("asking", "--serves", API, "--understands-caveats")
    return alone


def asking(alone: Feeding, cache_seconds: float = 0, **settings: object) -> Flask:
    introspection = Introspection(
        alone.service.issuer,
        API,
        "asking",
        alone.secrets["asking"],
        ca=alone.service.ca,
        cache_seconds=cache_seconds,
    )
    return make_app(verifier=introspection, clock=time.time, **settings)
