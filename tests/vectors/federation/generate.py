"""Write the vectors of foreign JWTs anew: .venv/bin/python -m tests.vectors.federation.generate.

The same bytes come out each time. A vector has a token, a moment, and the one trust that it is presented to.
"""

import json
from pathlib import Path

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.federation.claims import GRANT_KINDS, refuse_kind
from macaroon_cbat.service.federation.judging import Accepted, fitting, issuer_of, signed_by
from macaroon_cbat.service.federation.jwt import read_jwt
from macaroon_cbat.service.federation.published_keys import PublishedKeys
from macaroon_cbat.service.federation.refusals import UnacceptableJwt
from macaroon_cbat.stores.trust import TrustedIssuer, TrustRecord, read_trust
from tests.vectors.federation.attack_cases import ATTACKS
from tests.vectors.federation.cases import Case
from tests.vectors.federation.shaped_cases import SHAPED

FOLDER = Path(__file__).parent
CASES = SHAPED | ATTACKS


def render(case: Case) -> str:
    """Return the vector of a case."""
    outcome = (
        {"expect": "accepted"} if case.refusal is None else {"expect": "refused", "reason": case.refusal}
    )
    members = {"comment": case.comment, **outcome, "now": case.now, "token": case.token}
    if case.subject is not None:
        members["subject"] = case.subject
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in members.items())
    return f"{text}trust = '''\n{json.dumps(case.trust, indent=1)}'''\n"


def judged(vector: dict) -> Accepted:
    """Return what comes of a token, by nothing but what the vector says; or raise UnacceptableJwt."""
    trusted = read_trust(json.loads(vector["trust"]), TrustedIssuer)
    jwt = read_jwt(vector["token"])
    refuse_kind(jwt, GRANT_KINDS)
    issuer = issuer_of(jwt)
    records = [TrustRecord("trust", trusted, 0)] if trusted.issuer == issuer else []
    return fitting(jwt, signed_by(jwt, records, PublishedKeys()), EpochSeconds(vector["now"]))


def outcome(vector: dict) -> str:
    """Return `accepted`, or the reason of the refusal."""
    try:
        judged(vector)
    except UnacceptableJwt as error:
        return str(error)
    return "accepted"


def main() -> None:
    """Replace every vector."""
    for file in FOLDER.glob("*.toml"):
        file.unlink()
    for name, case in CASES.items():
        (FOLDER / f"{name}.toml").write_text(render(case), "utf-8")


if __name__ == "__main__":
    main()
