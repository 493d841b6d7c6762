"""One process of a gateway: an event loop that answers, reloads the policy, and ends, by signals."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from macaroon_cbat.audit import flush_refusals
from macaroon_cbat.audit.file import reopen_logs
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.http_connection import REQUEST_SECONDS, HttpConnection
from macaroon_cbat.gateway.policy_in_force import InForce, LoadedPolicy, load_policy, put_in_force
from macaroon_cbat.resource.used_proofs import UsedProofs
from macaroon_cbat.server.address import Address
from macaroon_cbat.server.event_loop import new_event_loop
from macaroon_cbat.server.unix_listener import BACKLOG

if TYPE_CHECKING:
    from macaroon_cbat.gateway.envoy_grpc import EnvoyServer

log = logging.getLogger("macaroon_cbat.gateway")

_SWEEP_SECONDS = 1.0
_LEAVING_SECONDS = 60.0
"""The time after which a replaced verifier has answered its last question."""


class Worker:
    """The listeners of one process, served until it stops; SIGHUP makes it read the policy again."""

    def __init__(
        self,
        file: Path,
        loaded: LoadedPolicy,
        *,
        listener: socket.socket | None,
        envoy: Address | None,
        connections: int,
        was_told: Callable[[], bool],
        used: UsedProofs,
    ) -> None:
        """Put the policy in force; serve HTTP over so many connections at most, and gRPC at `envoy`.

        `used` are the proofs that were used in any worker.
        """
        self._was_told = was_told
        self._file, self._listener, self._limit = file, listener, connections
        self._dispatcher = Dispatcher(put_in_force(loaded, used=used))
        self._connections: dict[HttpConnection, None] = {}  # the oldest one first
        self._is_stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self._envoy = None if envoy is None else self._runner.run(self._answer_envoy(envoy))

    def stop(self) -> None:
        """Finish the requests under way and return from `run`: for signals that come before the loop runs."""
        self._is_stopping = True

    def run(self, lifeline: int | None = None) -> None:
        """Serve until stopped, or until the other end of the lifeline pipe is gone."""
        self._dispatcher.in_force.verifier.start()
        with self._runner:
            self._runner.run(self._serve(lifeline))
        flush_refusals()

    async def _serve(self, lifeline: int | None) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        reloading = asyncio.Lock()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._reload(reloading)))
        if self._was_told():  # a SIGHUP from before the handler above
            self._begin(self._reload(reloading))
        self._begin(self._sweep())
        if lifeline is not None:
            loop.add_reader(lifeline, stopped.set)
        server = None if self._listener is None else await self._server(self._listener)
        if not self._is_stopping:
            await stopped.wait()
        if server is not None:
            server.close()
        await asyncio.gather(self._finish(), *([self._envoy.finish()] if self._envoy is not None else []))
        for task in self._tasks:
            task.cancel()
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGHUP}
        )  # a closed loop has no handler, and it would end the process

    async def _answer_envoy(self, place: Address) -> "EnvoyServer":
        # Imported here: most gateways need no gRPC, and nothing of it survives a fork.
        from macaroon_cbat.gateway.envoy_grpc import EnvoyServer

        server = EnvoyServer(self._dispatcher, place)
        await server.start()
        return server

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _server(self, sock: socket.socket) -> asyncio.AbstractServer:
        is_unix, loop = sock.family == socket.AF_UNIX, asyncio.get_running_loop()

        def connection() -> HttpConnection:
            return HttpConnection(
                self._dispatcher, self._connections, is_unix_socket=is_unix, limit=self._limit
            )

        if is_unix:
            return await loop.create_unix_server(connection, sock=sock, backlog=BACKLOG)
        return await loop.create_server(connection, sock=sock, backlog=BACKLOG)

    async def _finish(self) -> None:
        """Wait for the answers under way, for as long as a request may take."""
        deadline = time.monotonic() + REQUEST_SECONDS
        for connection in list(self._connections):
            connection.finish()
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in list(self._connections):
                connection.sweep(loop.time())

    async def _reload(self, one_at_a_time: asyncio.Lock) -> None:
        """Read the policy again and put it in force, without blocking the loop."""
        async with one_at_a_time:
            reopen_logs()
            before = self._dispatcher.in_force
            try:
                after = await asyncio.get_running_loop().run_in_executor(None, self._read_again, before)
            except SettingsError as error:
                log.error("keeping the policy read before: %s", error)  # noqa: TRY400 # no defect of ours
                return
            self._dispatcher.in_force = after  # one assignment: each question sees one policy, old or new
        if after.verifier is not before.verifier:
            await asyncio.sleep(_LEAVING_SECONDS)
            before.verifier.stop()

    def _read_again(self, before: InForce) -> InForce:
        after = put_in_force(load_policy(self._file), before)
        if after.verifier is not before.verifier:
            after.verifier.start()
        return after
