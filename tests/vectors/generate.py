"""Write the generated vectors anew: .venv/bin/python -m tests.vectors.generate.

The same bytes come out each time. Files named published-*.toml are quoted from elsewhere and stay.
"""

import json
from pathlib import Path

from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.keys import AudienceKeys, RootKey, audience_keys
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.verification import Principal, verify
from tests.support.tokens import ACCESS, API, ISSUER, ROOT, token_revocation
from tests.vectors.more_cases import CASES, Case

FOLDER = Path(__file__).parent
FACTS: dict[str, object] = {
    "now": ACCESS.now,
    "audience": ACCESS.audience,
    "certificate": ACCESS.certificate,
    "method": ACCESS.method,
    "origin": "https://api.example",
    "path": "/invoices/7",
    "address": ACCESS.address,
}


def to_toml(table: dict[str, object]) -> str:
    """Return one TOML table; None has no spelling there, and is left out."""
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in table.items()
        if value is not None
    )


def render(case: Case) -> str:
    """Return the vector of a case: all that a verifier needs, and what comes out."""
    vector = {
        "comment": case.comment,
        "kind": "verify",
        "expect": case.expect,
        "text": case.text,
        "discharges": list(case.discharges),
        "root_key": ROOT.secret.hex(),
        "kid": ROOT.kid,
        "issuer": ISSUER,
        "audience": API,
        "revoked": list(case.revoked),
        "require_certificate": case.require_certificate,
    }
    access = FACTS | case.access
    rendered = f"{to_toml(vector)}\n[access]\n{to_toml(access)}"
    if case.expect == "accepted":
        rendered += f"\n[principal]\n{to_toml(principal_table(present(vector | {'access': access})))}"
    return rendered


def present(vector: dict) -> Principal:
    """Verify what the vector describes, using nothing but what it says."""
    root = RootKey(vector["kid"], bytes.fromhex(vector["root_key"]))
    keys: AudienceKeys = audience_keys(vector["issuer"], vector["audience"], [root])
    facts = dict(vector["access"])
    origin, path = facts.pop("origin", None), facts.pop("path", None)
    target = Target(origin, path) if origin is not None and path is not None else None
    return verify(
        vector["text"],
        keys,
        Access(target=target, **facts),
        require_certificate=vector["require_certificate"],
        revocations=Revocations(token_revocation(jti) for jti in vector["revoked"]),
        discharges=vector["discharges"],
    )


def principal_table(principal: Principal) -> dict[str, object]:
    """Return the principal as TOML can say it: members that say nothing are left out."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name in principal.__struct_fields__
        if (value := getattr(principal, name)) not in (None, ())
    }


def main() -> None:
    """Replace every generated vector."""
    for file in FOLDER.glob("*.toml"):
        if not file.name.startswith("published-"):
            file.unlink()
    for name, case in CASES.items():
        (FOLDER / f"{name}.toml").write_text(render(case), "utf-8")


if __name__ == "__main__":
    main()
