"""Write the generated vectors anew: .venv/bin/python -m tests.vectors.certificates.generate.

The certificates are the published ones of RFC 8705 and RFC 9440, in the spelling of each product as its
maker's pages have it; the same bytes come out each time. Files named published-* are quoted from elsewhere
and stay. What the proxies that run here send is in tests/vectors/proxies.
"""

import json
import tomllib
from pathlib import Path

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.formats import FORMATS
from tests.support.certificate_spellings import HASH_ONLY, NONE, SPELLINGS, base64_of, escaped_pem, x5t

FOLDER = Path(__file__).parent
_RFC8705 = tomllib.loads((FOLDER.parent / "published-rfc8705-appendix-a.toml").read_text("utf-8"))
_RFC9440 = tomllib.loads((FOLDER / "published-rfc9440-appendix-a.toml").read_text("utf-8"))
_ARMOUR = "-----BEGIN CERTIFICATE-----"
MTLS = der_of(_RFC8705["pem"].encode())
LEAF, ISSUER = [der_of((_ARMOUR + block).encode()) for block in _RFC9440["pem"].split(_ARMOUR)[1:]]

Fields = list[tuple[str, str]]
Vectors = dict[str, dict[str, object]]


def fields_of(name: str, values: tuple[str | None, ...]) -> Fields:
    """Return the header fields of a format; a value of None is a header that does not come."""
    names = (FORMATS[name].header, *FORMATS[name].companions)
    return [(header, value) for header, value in zip(names, values, strict=True) if value is not None]


def accepted(name: str, der: bytes, comment: str, values: tuple[str | None, ...]) -> dict[str, object]:
    return {
        "comment": comment,
        "format": name,
        "expect": "accepted",
        "has_certificate": name not in HASH_ONLY,
        "thumbprint": x5t(der),
        "fields": fields_of(name, values),
    }


def other(name: str, expect: str, comment: str, fields: Fields) -> dict[str, object]:
    return {"comment": comment, "format": name, "expect": expect, "fields": fields}


def vectors() -> Vectors:
    """Return every generated vector by the name of its file."""
    made: Vectors = {}
    for name in FORMATS:
        header = FORMATS[name].header
        for title, der in (("rfc8705", MTLS), ("rfc9440", LEAF)):
            comment = f"the certificate of {title.upper().replace('RFC', 'RFC ')} as {name} hands it over"
            made[f"{name}-{title}"] = accepted(name, der, comment, SPELLINGS[name](der))
        value, *companions = SPELLINGS[name](MTLS)
        rest = fields_of(name, (None, *companions))
        twice = [(header, value), (header, SPELLINGS[name](LEAF)[0]), *rest]
        made[f"{name}-twice"] = other(name, "AmbiguousHeader", "two headers of one name", twice)
        made[f"{name}-space"] = other(
            name, "AmbiguousHeader", "white space that is not written", [(header, f"{value} x"), *rest]
        )
        if name in NONE:
            comment = "what is sent when no certificate was presented"
            made[f"{name}-none"] = other(name, "no certificate", comment, fields_of(name, NONE[name]))
    return made | chains() | contradictions() | elements()


def chains() -> Vectors:
    """Return vectors of products that pass on the whole chain."""
    both = [base64_of(LEAF), base64_of(ISSUER)]
    escaped = [text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D") for text in both]
    half = [
        escaped_pem(der).replace("%2B", "+").replace("%2F", "/").replace("%3D", "=") for der in (LEAF, ISSUER)
    ]
    whole = [escaped_pem(der) for der in (LEAF, ISSUER)]
    comment = "a chain: the first certificate is the client's"
    return {
        "traefik-chain": accepted("traefik", LEAF, comment, (",".join(both),)),
        "traefik2-chain": accepted("traefik2", LEAF, comment, (",".join(escaped),)),
        "aws-alb-passthrough-chain": accepted("aws-alb-passthrough", LEAF, comment, ("".join(half),)),
        "aws-alb-passthrough-chain-as-in-the-example": accepted(
            "aws-alb-passthrough", LEAF, comment, ("".join(whole),)
        ),
        "aws-alb-as-in-the-example": accepted(
            "aws-alb", MTLS, "with + = / escaped, as the example on AWS's page has it", (escaped_pem(MTLS),)
        ),
        "google-sha256-padded": accepted(
            "google-sha256", MTLS, "a padded hash", (SPELLINGS["google-sha256"](MTLS)[0] + "=", "true")
        ),
        "aws-alb-mixed": other(
            "aws-alb",
            "AmbiguousHeader",
            "some characters escaped and others not",
            [("X-Amzn-Mtls-Clientcert-Leaf", half[0].replace("+", "%2B", 1))],
        ),
    }


def contradictions() -> Vectors:
    """Return vectors in which the product says one thing and sends another."""
    made: Vectors = {}
    for name, kind in FORMATS.items():
        if not kind.companions or name in ("openshift", *(FORMATS.keys() - NONE.keys())):
            continue  # OpenShift's companion says the same of both
        value, yes = SPELLINGS[name](MTLS)
        no = NONE[name][1]
        for title, expect, values in (
            ("yes-without", "ProxyMisconfigured", (None, yes)),
            ("no-with", "AmbiguousHeader", (value, no)),
            ("unsaid", "ProxyMisconfigured", (value, None)),
        ):
            comment = "the product contradicts itself, or does not say whether there is a certificate"
            made[f"{name}-{title}"] = other(name, expect, comment, fields_of(name, values))
    nothing = "nothing came, although the product always says something"
    silent = (
        "rfc9440",
        "haproxy",
        "haproxy-sha256",
        "apache",
        "caddy",
        "caddy-sha256",
        "aws-alb",
        "openshift",
    )
    for name in silent:
        made[f"{name}-silent"] = other(name, "ProxyMisconfigured", nothing, [])
    failed = (SPELLINGS["nginx"](MTLS)[0], "FAILED:self-signed certificate")
    for name in ("nginx", "ingress-nginx"):
        comment = "without an issuer nginx still proved the key"
        made[f"{name}-failed"] = accepted(name, MTLS, comment, failed)
    value = SPELLINGS["openshift"](MTLS)[0]
    for title, verify in (("unverified", "18"), ("unsaid", None)):
        comment = "the router does not say that it verified the certificate"
        expect = "ProxyMisconfigured" if verify is None else "AmbiguousHeader"
        fields = fields_of("openshift", (value, verify))
        made[f"openshift-{title}"] = other("openshift", expect, comment, fields)
    made["openshift-quoted"] = accepted("openshift", MTLS, "as %{+Q} writes it", (f'"{value}"', "0"))
    return made


def elements() -> Vectors:
    """Return vectors of X-Forwarded-Client-Cert."""
    near, far = SPELLINGS["envoy"](MTLS)[0], SPELLINGS["envoy"](LEAF)[0]
    name, header = "envoy", "X-Forwarded-Client-Cert"
    whole = f'By=spiffe://here;{near};Subject="CN=mtls";URI=;DNS=a.example;DNS=b.example'
    return {
        "envoy-everything": accepted(name, MTLS, "all that Envoy can say", (whole,)),
        "envoy-two-connections": accepted(
            name, MTLS, "the nearest connection's element is the last", (f"{far},{near}",)
        ),
        "envoy-quoted-comma": accepted(
            name, MTLS, "a subject with separators", (rf'{near};Subject="O=a\,b;Hash=x,CN=\"c\""',)
        ),
        "envoy-san-injection": other(
            name,
            "AmbiguousHeader",
            "a certificate whose URI adds an element: Envoy does not quote it",
            [(header, f"By=spiffe://here;{far};URI=x,{near}")],
        ),
        "envoy-disagreeing": other(
            name,
            "AmbiguousHeader",
            "the hash of one certificate and another one",
            [(header, f'{far.split(";")[0]};Cert="{escaped_pem(MTLS)}"')],
        ),
    }


def render(vector: dict[str, object]) -> str:
    """Return one vector as TOML."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in vector.items())


def main() -> None:
    """Replace every generated vector."""
    for file in FOLDER.glob("*.toml"):
        if not file.name.startswith("published-"):
            file.unlink()
    for name, vector in vectors().items():
        (FOLDER / f"{name}.toml").write_text(render(vector), "utf-8")


if __name__ == "__main__":
    main()
