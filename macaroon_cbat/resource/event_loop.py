"""Admission in an event loop (asyncio alone), which no request blocks: `blocking` says how."""

from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.blocking import MustBlock, NeverBlocking, announces_blocking
from macaroon_cbat.resource.blocking_pool import in_thread
from macaroon_cbat.resource.request import PresentedRequest


async def admit(admission: Admission, request: PresentedRequest, scope: str = "") -> Principal:
    """Return what `Admission.admit` returns, without blocking the event loop.

    Raises what `Admission.admit` raises, and Unavailable if too many requests wait for the service already.
    """
    if announces_blocking(admission.verifier):
        try:
            with NeverBlocking():
                return admission.admit(request, scope)
        except MustBlock:
            pass
    return await in_thread(admission.verifier.issuer, admission.admit, request, scope)
