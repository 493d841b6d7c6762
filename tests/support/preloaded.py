"""An application that has asked the service before its server forks: see test_preloaded.py."""

import json
import os
import time

from flask import Flask, jsonify

from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource import (
    Guard,
    Introspection,
    KeyFeed,
    RevocationFeed,
    ServiceConnection,
    current_principal,
)

SETTINGS = json.loads(os.environ["PRELOADED"])


def guard() -> Guard:
    """Return a guard whose every client of the service has been used."""
    introspection = Introspection(**SETTINGS["introspection"])
    access = Access(now=EpochSeconds(int(time.time())), audience=introspection.audience)
    introspection.verify(SETTINGS["token"], access, require_certificate=False)
    if "following" not in SETTINGS:
        return Guard(verifier=introspection, require_certificate=False)
    connection = ServiceConnection(**SETTINGS["following"])
    keys, revocations = KeyFeed(connection, introspection.audience), RevocationFeed(connection)
    guard = Guard(keys=keys, revocations=revocations, require_certificate=False)
    revocations.current()
    return guard


app = Flask("preloaded")
guarded = guard()
guarded.init_app(app)


@app.get("/invoices")
@guarded.require("read")
def invoices() -> object:
    """Say whom the guard let in, and in which process."""
    return jsonify(client=current_principal.client_id, pid=os.getpid())
