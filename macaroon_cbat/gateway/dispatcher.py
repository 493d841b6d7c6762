"""The dispatch of a gateway's questions: to the event loop, or to a thread that may ask the service."""

import logging
from typing import Literal

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.gateway.decision import Gateway, Untrusted
from macaroon_cbat.gateway.policy_in_force import InForce
from macaroon_cbat.gateway.question import Question
from macaroon_cbat.resource.blocking import MustBlock, NeverBlocking
from macaroon_cbat.resource.blocking_pool import in_thread
from macaroon_cbat.resource.responses import Answer, unavailable

log = logging.getLogger("macaroon_cbat.gateway")

Over = Literal["http", "grpc"]

_DEFECT = Answer(500, (("Content-Type", "application/json"),), b'{"error":"server_error"}')


class Dispatcher:
    """The policy in force of one process, by which every question is decided."""

    def __init__(self, in_force: InForce) -> None:
        """Begin with this policy."""
        self.in_force = in_force

    def at_once(self, question: Question, over: Over) -> Answer | Untrusted | None:
        """Return the decision, or None if the service has to be asked first (`resource.blocking`)."""
        try:
            with NeverBlocking():
                return self._gateway(over).decide(question)
        except MustBlock:
            return None
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT

    async def after_waiting(self, question: Question, over: Over) -> Answer | Untrusted:
        """Return the decision once the service has answered, without blocking the event loop."""
        gateway = self._gateway(over)
        try:
            return await in_thread(gateway.admission.verifier.issuer, gateway.decide, question)
        except Unavailable as error:
            return unavailable(error, "what a proxy asks")
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT

    def _gateway(self, over: Over) -> Gateway:
        return self.in_force.over_http if over == "http" else self.in_force.over_grpc
