"""Every question of one process, decided by the policy in force at that moment."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.gateway.decision import Gateway
from macaroon_cbat.gateway.policy_in_force import InForce
from macaroon_cbat.gateway.question import Question
from macaroon_cbat.resource.blocking import MustBlock, mark_spare_thread, never_blocking
from macaroon_cbat.resource.event_loop import MAX_WAITING, THREADS
from macaroon_cbat.resource.metrics import count_unavailable
from macaroon_cbat.resource.responses import Answer, unavailable

log = logging.getLogger("macaroon_cbat.gateway")

Over = Literal["http", "grpc"]

_DEFECT = Answer(500, (("Content-Type", "application/json"),), b'{"error":"server_error"}')


class Dispatcher:
    """Decides in the event loop, in microseconds; what must wait for the service, in a thread."""

    def __init__(self, in_force: InForce) -> None:
        """Begin with this policy."""
        self.in_force = in_force
        self._threads = ThreadPoolExecutor(THREADS, "waiting", initializer=mark_spare_thread)
        self._waiting = 0

    def at_once(self, question: Question, over: Over) -> Answer | None:
        """Return the answer, or None when the service has to be asked first."""
        try:
            with never_blocking():
                return self._gateway(over).decide(question)
        except MustBlock:
            return None
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT

    async def after_waiting(self, question: Question, over: Over) -> Answer:
        """Return the answer, once the service has answered, without holding up the event loop."""
        gateway = self._gateway(over)
        if self._waiting >= MAX_WAITING:
            error = Unavailable(
                f"{MAX_WAITING} questions wait for {gateway.admission.verifier.issuer} already"
            )
            count_unavailable(error)
            return unavailable(error, "what a proxy asks")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, gateway.decide, question)
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT
        finally:
            self._waiting -= 1

    def is_stranger(self, question: Question, over: Over) -> bool:
        """Tell whether who asks is none of the trusted proxies."""
        return self._gateway(over).trust.distrust(question.connection) is not None

    def _gateway(self, over: Over) -> Gateway:
        return self.in_force.over_http if over == "http" else self.in_force.over_grpc
