"""The gateway's side of a proxy: the questions that it hears, and its one public document."""

from collections.abc import Iterable

from tests.support.proxies.arrivals import EVIL, Arrival, arrivals, arrived, at_once
from tests.support.proxies.believed import PARTS
from tests.support.proxies.channels import FORBIDDEN, H2_REQUEST
from tests.support.proxies.clients import Headers
from tests.support.proxies.deployment import SECRET, Stand
from tests.support.proxies.judgements import bearer, holder

DOCUMENT = "/.well-known/oauth-protected-resource"
_PARTS = tuple(tuple(name for name in part if name != "X-Other") for part in (*PARTS, FORBIDDEN))


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{name}: {EVIL}\r\n" for name in names)


READINGS = tuple(
    f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {EVIL}\r\n{fields}\r\n{body}"
    for names in _PARTS
    for method, target, fields, body in (
        ("GET", DOCUMENT, _lines(names), ""),
        ("HEAD", DOCUMENT, _lines(names), ""),
        ("GET", f"{DOCUMENT}?{EVIL}", "", ""),
        ("GET", f"{DOCUMENT}#{EVIL}", "", ""),
        ("GET", f"{DOCUMENT}/{EVIL}", "", ""),
        ("GET", f"{DOCUMENT}{EVIL}", "", ""),
        ("GET", f"{DOCUMENT};{EVIL}", "", ""),
        ("GET", f"https://localhost{DOCUMENT}", _lines(names), ""),
        ("GET", f"/x/..{DOCUMENT}", "", ""),
        ("POST", DOCUMENT, f"{_lines(names)}Content-Length: 7\r\n", EVIL),
        ("GET", DOCUMENT, f"{_lines(names)}Content-Length: 7\r\n", EVIL),
        ("GET", DOCUMENT, "Transfer-Encoding: chunked\r\n", f"7\r\n{EVIL}\r\n0\r\n{_lines(names)}\r\n"),
        ("GET", DOCUMENT, "Transfer-Encoding: chunked\r\n", f"0\r\n{_lines(names)}\r\n"),
        ("OPTIONS", DOCUMENT, "", ""),
        ("PROPFIND", DOCUMENT, "", ""),
    )
)


def document(stand: Stand) -> list[str]:
    """Read the gateway's document in every way: the gateway hears GET or HEAD, and no header of ours."""
    target = (*H2_REQUEST[:3], (":path", DOCUMENT))
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(each.encode()), dict.fromkeys(READINGS))
        replies += at_once(lambda each: stand.say_h2((*target, *_lower(each))), _PARTS)
        replies += at_once(
            lambda each: stand.say_h2(target, body=EVIL.encode(), trailers=_lower(each)), _PARTS
        )
        replies.append(stand.say_h2((*target, ("content-length", "7")), body=EVIL.encode()))
    readings = [each for each in seen if _is_reading(stand, each)]
    assert len(readings) >= 2, "no request read the document"
    for each in readings:
        method, path, _ = each["line"].split(" ")
        assert (method in {"GET", "HEAD"}, path) == (True, DOCUMENT), each["line"]
        assert each["body"] == "", each
        assert each["trailers"] == [], each
        assert EVIL not in str(each["headers"]), each
    return [each.outcome for each in replies]


def _lower(names: Iterable[str]) -> Headers:
    return tuple((name.lower(), EVIL) for name in names)


def _is_reading(stand: Stand, each: Arrival) -> bool:
    """Tell whether this is no question: it names no request, and the proxy had no gateway judge it."""
    asks = arrived(each, "X-Forwarded-Uri") or each["line"].split(" ")[1].startswith("/envoy/")
    return "oauth-protected-resource" in each["line"] and arrived(each, "Proxysecret") != [] and not asks


def question(stand: Stand) -> list[str]:
    """Write every header that is believed: the gateway hears the proxy's word and the token."""
    words = [tuple((name, EVIL) for name in part if name != "Authorization") for part in _PARTS]
    token = bearer(stand.world.bound())
    with arrivals(stand) as seen:
        asks = [holder(stand, method="POST", body=EVIL, headers=(*token, *part)) for part in words]
        replies = [stand.ask(each) for each in asks]
    questions = [each for each in seen if arrived(each, "Proxysecret") == [SECRET]]
    assert len(questions) == len(asks), seen
    assert EVIL not in str(questions), questions
    return [reply.outcome for reply in replies]
