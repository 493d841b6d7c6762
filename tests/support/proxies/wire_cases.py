"""The cases of attacks byte by byte: what a proxy may answer; the cases themselves say what may arrive."""

from tests.support.proxies.channels import body_of_unknown_length, extended_connect, trailers, upgrade
from tests.support.proxies.gateway_requests import document, question
from tests.support.proxies.judgements import LET_IN, REFUSED, Case
from tests.support.proxies.requests import (
    addresses,
    connect_and_trace,
    framings,
    headers,
    honest_headers,
    hosts,
    methods,
    of_an_expired_certificate,
    targets,
)
from tests.support.proxies.websockets import other_tunnels, websocket

BAD = REFUSED | {"404", "405", "411", "413", "421", "422", "426", "501", "505", "cut off"}
"""Each product has its own word for a request that it does not understand."""

WIRE = (
    Case("upgrades", upgrade, LET_IN | BAD),
    Case("extended CONNECT", extended_connect, LET_IN | BAD),
    Case("trailers", trailers, LET_IN | BAD),
    Case("body of unknown length", body_of_unknown_length, LET_IN, {"haproxy": LET_IN | {"411"}}),
    Case("targets", targets, LET_IN | BAD, {"traefik": LET_IN | BAD | {"302"}}),
    Case("methods", methods, frozenset({"400", "405", "cut off"})),
    Case(
        "odd, with an expired certificate",
        of_an_expired_certificate,
        LET_IN | BAD,
        {"traefik": LET_IN | BAD | {"302"}},
    ),
    Case("CONNECT and TRACE", connect_and_trace, BAD),
    Case("hosts", hosts, LET_IN | BAD),
    Case("framings", framings, LET_IN | BAD, {"apache": LET_IN | BAD | {"500"}}),
    Case("addresses", addresses, LET_IN | BAD),
    Case("believed headers", headers, LET_IN | BAD),
    Case("honest headers", honest_headers, LET_IN),
)
WEBSOCKETS = (
    Case("WebSocket", websocket, LET_IN),
    Case("other tunnels", other_tunnels, LET_IN | BAD | {"101"}),
)
_CUT_OFF = LET_IN | BAD | {"302", "500"}
"""Go's proxies answer 500 where they cut a body off, on a busy machine more often."""
ASKING = (
    Case("document", document, LET_IN | BAD | {"302"}, dict.fromkeys(("caddy", "traefik"), _CUT_OFF)),
    Case("question", question, LET_IN),
)
