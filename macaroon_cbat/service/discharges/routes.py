"""The routes of the discharge service, below the issuer: its URL is the location of third-party caveats.

The protocol is that of the macaroon bakery (httpbakery): a refusal has `Code` and `Message` beside our
`error`, and one that needs a person has `Info` with the links of method `browser-window`.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask, Response, request

from macaroon_cbat.errors import InvalidClient, OAuthError
from macaroon_cbat.errors.discharges import ConditionNotMet, InteractionRequired
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.server.parking import park_of
from macaroon_cbat.service.discharges.approvals import Approvals
from macaroon_cbat.service.discharges.discharger import Discharger
from macaroon_cbat.service.discharges.keys import DischargeKeys
from macaroon_cbat.service.discharges.links import Links
from macaroon_cbat.service.discharges.page import ApprovalPage, approval_pages
from macaroon_cbat.service.discharges.shapes import (
    TOKEN_KIND,
    WAIT_PATH,
    DischargeAnswer,
    DischargeForm,
    DischargeInfo,
    PublicKeyAnswer,
    WaitAnswer,
    wanted_by,
)
from macaroon_cbat.service.http.operations import SHORTENED, Operation, Parameter, add_route
from macaroon_cbat.service.http.request_input import FORM, read_form, read_query, required
from macaroon_cbat.service.http.responses import Parked, answer
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_authentication import refuse_public
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.pages.forms import Forms
from macaroon_cbat.service.pages.people import PeopleAtHand
from macaroon_cbat.service.throttle.attempts import address_to_limit
from macaroon_cbat.stores import Client

_VERSION = 3
_EXAMPLE_KEY = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

DISCHARGE = Operation(
    method="POST",
    path="/discharge",
    label="discharge",
    summary="Discharge a third-party caveat that is encrypted to this service",
    caller="any",
    body=DischargeForm,
    body_type=FORM,
    example={"id64": SHORTENED},
    answer=DischargeAnswer,
    answer_example={"Macaroon": {"v": 2, "i64": SHORTENED, "c": [], "s64": SHORTENED}},
    refusals=(400, 401, 403, 413, 429),
)
INFO = Operation(
    method="GET",
    path="/discharge/info",
    label="discharge info",
    summary="Get the public key that third-party caveats are encrypted to",
    caller="any",
    answer=DischargeInfo,
    answer_example={"PublicKey": _EXAMPLE_KEY, "Version": _VERSION},
)
PUBLIC_KEY = Operation(
    method="GET",
    path="/publickey",
    label="discharge public key",
    summary="Get the public key alone, as older clients of the macaroon bakery do",
    caller="any",
    answer=PublicKeyAnswer,
    answer_example={"PublicKey": _EXAMPLE_KEY},
)
WAIT = Operation(
    method="GET",
    path=WAIT_PATH,
    label="discharge wait",
    summary="Wait for the decision of a person; 303 leads back here while there is none",
    caller="any",
    query={"secret": Parameter("the secret of the wait, as the link has it", {"type": "string"})},
    answer=WaitAnswer,
    answer_example={"kind": TOKEN_KIND, "token64": "YS5i"},
    refusals=(400, 403),
)


@dataclass(frozen=True, slots=True)
class _Views:
    server: AuthorizationServer
    discharger: Discharger
    clock: Callable[[], float]

    def info(self) -> Response:
        return answer({"PublicKey": self._public_key(), "Version": _VERSION}, cacheable=True)

    def public_key(self) -> Response:
        return answer({"PublicKey": self._public_key()}, cacheable=True)

    def discharge(self) -> Response:
        now = self._now()
        with _in_bakery_words():
            uri = self.discharger.issuer + DISCHARGE.path
            # The bakery numbers caveats in bytes, from 0.
            form = FormRequest(request, read_form(request, binary=("id",)), uri, now)
            wanted = wanted_by(form.read(DischargeForm))
            return answer(self.discharger.discharge(wanted, lambda: self._caller(form), now))

    def wait(self) -> Response:
        with _in_bakery_words():
            secret = required(read_query(request, *WAIT.query), "secret")
            Links(self.discharger.keys).check(secret, self._now())
            approvals = self.discharger.approvals
            assert approvals is not None  # this view is routed with approvals alone
            decision = approvals.find(secret, self._now())
            if decision is None:
                return self._waited(approvals, secret)
            if decision.state != "approved":
                raise ConditionNotMet(f"the decision is {decision.state}")
            return answer({"kind": TOKEN_KIND, "token64": b64encode(secret.encode()).decode()})

    def _waited(self, approvals: Approvals, secret: str) -> Response:
        """Return the redirect that ends each wait, however it ends: the next request finds the decision."""
        again = answer({"kind": TOKEN_KIND}, 303)
        again.headers["Location"] = f"{self.discharger.issuer}{WAIT_PATH}?secret={secret}"
        park = park_of(request.environ)
        if park is None:
            approvals.await_decision(secret, address_to_limit())
        elif approvals.park(secret, address_to_limit(), again, park):
            return Parked()
        return again

    def _caller(self, form: FormRequest) -> Client:
        client: Client = self.server.authenticate_client(form, (), "discharge").record
        refuse_public(client)
        return client

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))

    def _public_key(self) -> str:
        return b64encode(self.discharger.keys.current().public).decode()


def discharge_routes(
    app: Flask,
    server: AuthorizationServer,
    people: PeopleAtHand | None,
    clock: Callable[[], float],
    root_path: str,
    *,
    waiters: int,
) -> tuple[Operation, ...]:
    """Route the service, and return its operations. Without people no person approves anything.

    Where no server parks responses, at most `waiters` requests of a process wait for a decision at a time.
    """
    issuer = server.issuer.url
    approvals = None if people is None else Approvals(server.stores.expiring, clock, waiters)
    discharger = Discharger(
        issuer, DischargeKeys(server.stores.root_keys), approvals, server.stores.revocations
    )
    views = _Views(server, discharger, clock)
    routed = [(INFO, views.info), (PUBLIC_KEY, views.public_key), (DISCHARGE, views.discharge)]
    if people is not None and approvals is not None:
        routed.append((WAIT, views.wait))
        forms = Forms(issuer)
        approval_pages(app, ApprovalPage(discharger, approvals, people, forms, clock), root_path)
    for operation, view in routed:
        add_route(app, operation, view, root_path)
    return tuple(operation for operation, _ in routed)


def metadata(base: str) -> Mapping[str, object]:
    """Return the members about discharges: the endpoint, below which its public key is."""
    return {"macaroon_discharge_endpoint": base + DISCHARGE.path}


@contextmanager
def _in_bakery_words() -> Iterator[None]:
    """Add to a refusal what the bakery's clients read in it."""
    try:
        yield
    except InteractionRequired as error:
        window = {"VisitURL": error.visit_url, "WaitTokenURL": error.wait_url}
        error.further = {
            "Code": "interaction required",
            "Message": error.description,
            "Info": {"InteractionMethods": {"browser-window": window}},
        }
        raise
    except OAuthError as error:
        is_denied = isinstance(error, ConditionNotMet | InvalidClient)
        error.further = {
            "Code": "permission denied" if is_denied else "bad request",
            "Message": error.description,
        }
        raise
