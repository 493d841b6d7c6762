"""A service of its own, and guards that introspect at it."""

import time

from flask import Flask

from macaroon_cbat.resource import Introspection
from tests.support.feeds import Feeding
from tests.support.guarded_app import make_app
from tests.support.service_process import API


def asking(alone: Feeding, cache_seconds: float = 0, **settings: object) -> Flask:
    if "asking" not in alone.secrets:
        alone.secrets["asking"] = alone.service.add("asking", "--serves", API, "--understands-caveats")
    introspection = Introspection(
        alone.service.issuer,
        API,
        "asking",
        alone.secrets["asking"],
        ca=alone.service.ca,
        cache_seconds=cache_seconds,
    )
    return make_app(verifier=introspection, **({"clock": time.time} | settings))
