"""Caveats that permit a request, and caveats that prohibit it."""

from macaroon_cbat.macaroon.caveats import (
    Audience,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
    key_confirmation,
)
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import Target
from tests.support.tokens import API, BOUND, NOW, OTHER_API, OTHER_CERTIFICATE

HOST = "https://api.example"
JKT = KeyThumbprint("A" * 43)


def at(path: str, origin: str = HOST) -> Target:
    return Target(origin, path)


ACCEPTED = {
    "exp in the future": (Expiry(NOW + 1), {}),
    "nbf now": (NotBefore(NOW), {}),
    "nbf in the past": (NotBefore(NOW - 1), {}),
    "aud alone": (Audience(API), {}),
    "aud among several": (Audience((OTHER_API, API)), {}),
    "cnf of this connection": (BOUND, {}),
    "cnf of this proof": (key_confirmation(JKT), {"proof_key": JKT}),
    "scope, which judges nothing here": (Scope("read"), {}),
    "htm alone": (Method("GET"), {}),
    "htm among several": (Method(("POST", "GET")), {}),
    "htu itself": (TargetUri(f"{HOST}/invoices/7"), {}),
    "htu spelled otherwise": (TargetUri("HTTPS://API.EXAMPLE:443/invoices/%37"), {}),
    "path itself": (PathPrefix("/invoices/7"), {}),
    "path above": (PathPrefix("/invoices"), {}),
    "path above with a slash": (PathPrefix("/invoices/"), {}),
    "path root": (PathPrefix("/"), {}),
    "path root of the root": (PathPrefix("/"), {"target": at("/")}),
    "ip itself": (ClientAddress("192.0.2.7"), {}),
    "ip network": (ClientAddress("192.0.2.0/24"), {}),
    "ip among several": (ClientAddress(("2001:db8::/32", "192.0.2.0/24")), {}),
    "ip v6": (ClientAddress("2001:db8::/32"), {"address": "2001:db8::1"}),
    "ip v4 in v6 clothes": (ClientAddress("192.0.2.0/24"), {"address": "::ffff:192.0.2.7"}),
}


PROHIBITED = {
    "exp now": (Expiry(NOW), {}),
    "exp in the past": (Expiry(NOW - 1), {}),
    "exp zero": (Expiry(0), {}),
    "nbf in the future": (NotBefore(NOW + 1), {}),
    "aud of another": (Audience(OTHER_API), {}),
    "aud of several others": (Audience((OTHER_API, "https://third.example")), {}),
    "aud of an empty audience": (Audience(API), {"audience": ""}),
    "aud with a path more": (Audience(API + "/a"), {}),
    "aud that only contains ours": (Audience(API + ".evil.example"), {}),
    "cnf of another certificate": (BOUND, {"certificate": OTHER_CERTIFICATE}),
    "cnf of another key": (key_confirmation(JKT), {"proof_key": KeyThumbprint("B" * 42 + "A")}),
    "cnf of a key, over a connection of that thumbprint": (key_confirmation(JKT), {"certificate": JKT}),
    "cnf in the other letter case": (confirmation(BOUND.cnf.thumbprint.swapcase()), {}),
    "htm of another method": (Method("POST"), {}),
    "htm that only contains ours": (Method("GETTER"), {}),
    "htm of an empty method": (Method("GET"), {"method": ""}),
    "htm in lower case": (Method("get"), {}),
    "htu of another path": (TargetUri(f"{HOST}/invoices/8"), {}),
    "htu above": (TargetUri(f"{HOST}/invoices"), {}),
    "htu with a slash more": (TargetUri(f"{HOST}/invoices/7/"), {}),
    "htu of another host": (TargetUri("https://other.example/invoices/7"), {}),
    "htu of another scheme": (TargetUri("http://api.example/invoices/7"), {}),
    "htu of another port": (TargetUri("https://api.example:8443/invoices/7"), {}),
    "path beside": (PathPrefix("/orders"), {}),
    "path that ends inside a segment": (PathPrefix("/inv"), {}),
    "path below": (PathPrefix("/invoices/7/lines"), {}),
    "path with a slash, asked without": (PathPrefix("/invoices/7/"), {}),
    "path in the other letter case": (PathPrefix("/Invoices"), {}),
    "path left by dots": (PathPrefix("/invoices"), {"target": at("/invoices/../admin")}),
    "path left by encoded dots": (PathPrefix("/invoices"), {"target": at("/invoices/%2e%2e/admin")}),
    "path left by a backslash": (PathPrefix("/invoices"), {"target": at("/invoices/..\\admin")}),
    "path asked with dots below the root": (PathPrefix("/"), {"target": at("/..")}),
    "path of an empty request path": (PathPrefix("/"), {"target": at("")}),
    "ip outside": (ClientAddress("198.51.100.0/24"), {}),
    "ip of the other version": (ClientAddress("::/0"), {}),
    "ip of a Unix socket": (ClientAddress("0.0.0.0/0"), {"address": "unix:"}),
    "ip of an empty address": (ClientAddress("0.0.0.0/0"), {"address": ""}),
}
