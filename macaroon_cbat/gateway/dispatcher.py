"""The dispatch of a gateway's questions: to the event loop, or to a thread that may ask the service."""

import logging
from collections.abc import Callable

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.gateway.decision import Untrusted
from macaroon_cbat.gateway.policy_in_force import InForce
from macaroon_cbat.gateway.question import HttpQuestion, Question
from macaroon_cbat.resource.blocking import MustBlock, NeverBlocking
from macaroon_cbat.resource.blocking_pool import in_thread
from macaroon_cbat.resource.responses import Answer, unavailable

log = logging.getLogger("macaroon_cbat.gateway")

_DEFECT = Answer(500, (("Content-Type", "application/json"),), b'{"error":"server_error"}')


class Dispatcher:
    """The policy in force of one process, by which every question is decided."""

    def __init__(self, in_force: InForce) -> None:
        """Begin with this policy."""
        self.in_force = in_force

    def at_once(self, question: Question) -> Answer | Untrusted | None:
        """Return the decision, or None if the service has to be asked first (`resource.blocking`)."""
        return _without_blocking(self.in_force.gateway.decide, question)

    def known(self, data: bytes, address: str | None) -> Answer | Untrusted | None:
        """Return the decision about bytes over HTTP, or None to have them parsed: the head is not known."""
        return _without_blocking(self.in_force.gateway.decide_known, data, address)

    def remember(self, data: bytes, question: HttpQuestion) -> None:
        """Keep the head of a question over HTTP, which was answered with 200 just now."""
        self.in_force.gateway.remember(data, question)

    async def after_waiting(self, question: Question) -> Answer | Untrusted:
        """Return the decision once the service has answered, without blocking the event loop."""
        gateway = self.in_force.gateway
        try:
            return await in_thread(gateway.admission.verifier.issuer, gateway.decide, question)
        except Unavailable as error:
            return unavailable(error, "what a proxy asks")
        except Exception:
            log.exception("a question could not be answered")
            return _DEFECT


def _without_blocking(
    decide: Callable[..., Answer | Untrusted | None], *arguments: object
) -> Answer | Untrusted | None:
    try:
        with NeverBlocking():
            return decide(*arguments)
    except MustBlock:
        return None
    except Exception:
        log.exception("a question could not be answered")
        return _DEFECT
