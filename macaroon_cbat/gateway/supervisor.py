"""The supervisor of a gateway: it listens, forks the workers, and watches the policy file."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from macaroon_cbat.audit import bound_refusals
from macaroon_cbat.audit.file import reopen_logs, write_log_to
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.gateway.http_connection import REQUEST_SECONDS
from macaroon_cbat.gateway.places import check_free, listening_at, remove_socket
from macaroon_cbat.gateway.policy_in_force import LoadedPolicy, PolicyWatch, places, put_in_force
from macaroon_cbat.gateway.worker import Worker
from macaroon_cbat.resource.feeds.ages import FeedAges, unknown_feeds
from macaroon_cbat.resource.used_proofs import RememberedProofs
from macaroon_cbat.server.address import Address
from macaroon_cbat.server.limits import Limits, limits_that_fit
from macaroon_cbat.server.management import serve_management
from macaroon_cbat.server.prefork import Prefork
from macaroon_cbat.server.readiness import Readiness
from macaroon_cbat.server.service_manager import Watchdog, telling_of_reload
from macaroon_cbat.server.shared_counters import ignoring_leftovers, sharing_counters, take_counters
from macaroon_cbat.server.signals import hearing_hangups

LOOK_SECONDS = 0.5


def serve_gateway(file: Path, *, workers: int = 1, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, finish the questions under way and return. Raises SettingsError.

    SIGHUP, and a changed file, put the new rules in force without a pause. SIGHUP also opens the audit log
    anew. `on_ready` gets the places where the gateway listens, once questions are answered.
    """
    with ExitStack() as stack:
        stack.enter_context(hearing_hangups())  # from here on: the policy is about to be read
        watch = PolicyWatch(file)
        loaded = watch.loaded
        found = places(loaded)
        # One worker shares its counters as well, with the worker that replaces it.
        stack.enter_context(sharing_counters(max(2, workers)) if "metrics" in found else ignoring_leftovers())
        put_in_force(loaded)  # so that a mistake is one line at the start
        _audit(loaded, file)
        listening = {
            member: stack.enter_context(listening_at(place))
            for member, place in found.items()
            if member != "grpc"
        }
        envoy = found.get("grpc")
        if envoy is not None:
            _check_envoy(envoy, workers)
            stack.callback(remove_socket, envoy)
        parent = _Parent(watch, file, listening, envoy, workers)
        stack.enter_context(hearing_hangups(parent.on_hangup))
        where = ", ".join(f"{place} ({member})" for member, place in found.items())
        parent.prefork.run(parent.make_worker, lambda: None if on_ready is None else on_ready(where))


def _check_envoy(place: Address, workers: int) -> None:
    if place.path is not None and workers > 1:
        raise SettingsError(
            f"[listen], grpc: {place} is for one process: --workers 1, or listen on ADDRESS:PORT"
        )
    if place.path is None and place.port == 0:
        raise SettingsError("[listen], grpc has port 0: name a port")
    check_free(place)


class _Parent:
    """The parent of the workers, which watches the policy file and tells them to read it."""

    def __init__(
        self,
        watch: PolicyWatch,
        file: Path,
        listening: dict[str, socket.socket],
        envoy: Address | None,
        workers: int,
    ) -> None:
        self._first = watch.loaded
        self._watch, self._file, self._listening, self._envoy = watch, file, listening, envoy
        self._connections = limits_that_fit(Limits()).connections
        self._is_asked, self._look_at = False, 0.0
        self._watchdog = Watchdog()
        self._used = RememberedProofs().prepare()  # here, so that all workers share it
        self.prefork = Prefork(list(listening.values()), workers, REQUEST_SECONDS, self._tick)

    def make_worker(self) -> Worker:
        """Return a worker; one that replaces another begins with the policy now in force."""
        _audit(self._first, self._file)  # opened anew: a file shared with the parent could not be locked
        if "metrics" in self._listening:
            take_counters()
            serve_management(self._listening["metrics"], Readiness({"feeds": unknown_feeds}), [FeedAges()])
        return Worker(
            self._file,
            self._watch.loaded,
            listener=self._listening.get("http"),
            envoy=self._envoy,
            connections=self._connections,
            was_told=lambda: self._is_asked,  # a child has the handler of its parent until its loop runs
            used=self._used,
        )

    def on_hangup(self) -> None:
        """Read the policy file at the next tick, changed or not."""
        self._is_asked = True

    def _tick(self) -> None:
        anyway, self._is_asked = self._is_asked, False
        self._watchdog.look(is_alive=True)
        if anyway:
            with telling_of_reload():
                reopen_logs()
                self._look(anyway=True)
        elif time.monotonic() >= self._look_at:
            self._look(anyway=False)

    def _look(self, *, anyway: bool) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        if self._watch.look(anyway=anyway):
            self.prefork.signal_workers(signal.SIGHUP)


def _audit(loaded: LoadedPolicy, file: Path) -> None:
    """Write audit lines to the place that the policy names. Raises SettingsError."""
    bound_refusals(loaded.policy.audit_refusals)
    name = loaded.policy.audit_log
    write_log_to(name if name is None or name == "-" else os.fspath(file.absolute().parent / name))
