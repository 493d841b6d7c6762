"""Proxy configurations, rendered from templates and checked settings.

Templates insert each value as it stands. Each value therefore has an alphabet without white space, quotes
and anything else that is syntax to one of the proxies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from macaroon_cbat.certificate.formats import CERTIFICATE_HEADERS, FORMATS
from macaroon_cbat.certificate.product_headers import UNTRUSTED_PREFIXES
from macaroon_cbat.certificate.untrusted_headers import UNTRUSTED_HEADERS
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.gateway.principal_headers import NAMES
from macaroon_cbat.macaroon.audiences import audience_setting
from macaroon_cbat.macaroon.credential_headers import CREDENTIAL_HEADERS
from macaroon_cbat.proxy_config.addresses import PLAIN_PATH, SPELLINGS
from macaroon_cbat.proxy_config.introspection import PLAIN_SECRET, ProxyIntrospection
from macaroon_cbat.resource.metadata import metadata_target
from macaroon_cbat.server.address import Address

with extra("gateway"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL", "BIND"),
)
"""The methods that Traefik forwards: its rules compare methods with names, not with patterns."""

_WRITTEN_BY_TRAEFIK = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Server"),
    *("X-Real-Ip", "Proxysecret", "X-Forwarded-Tls-Client-Cert"),
)
_PATH = re.compile(r"/[A-Za-z0-9._/-]*")
_DOCUMENT = re.compile(r"/(?:[A-Za-z0-9._~/-]|%(?!2F)[0-9A-F]{2})*")
_DOCUMENT_PATH = re.compile(r"/(?:[\w.~/<> -])*")
"""Letters and digits of any script, without what one of the proxies reads as syntax or as a delimiter."""
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_KEPT = frozenset({"host", "authorization", "content-length", "transfer-encoding", "connection", "upgrade"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """The files, certificate formats and abilities of one proxy product."""

    files: tuple[str, ...]
    """Names of the generated files; the one with the guarded listener comes last."""
    formats: Mapping[str, str]
    """The product's expression for the certificate, by certificate format; the first is the default.

    The expression is empty if the template has one of its own.
    """
    protocols: tuple[str, ...] = ("http",)
    asks_gateway: bool = True
    introspects: bool = False
    reaches_sockets: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfigSettings:
    """The settings of one configuration."""

    listen: Address
    http_listen: Address | None
    upstream: Address
    gateway: Address | None
    """None if the upstream guards itself and gets the certificate."""
    certificate: Path
    key: Path
    folder: Path
    """Folder of the generated files, which name each other."""
    format: str | None = None
    protocol: str = "http"
    secret: str = ""
    introspecting: ProxyIntrospection | None = None
    """None unless the proxy introspects tokens itself."""
    audience: str = ""
    """Audience of the gateway's policy file: its path is that of the metadata document (RFC 9728)."""
    websockets: tuple[str, ...] = ()
    """Paths on which a client may open a WebSocket."""
    further_upstreams: tuple[Address, ...] = ()
    """Further processes of the upstream, which take turns with it."""
    is_service: bool = False
    """True if the upstream is the service itself."""
    removed_headers: tuple[str, ...] = ()
    """Further headers that the proxy removes from requests, beside UNTRUSTED_HEADERS."""


PROXIES: Mapping[str, Proxy] = MappingProxyType(
    {
        "nginx": Proxy(("nginx.conf",), {"nginx": ""}),
        "envoy": Proxy(("envoy.yaml",), {"envoy": ""}, protocols=("http", "grpc")),
        "haproxy": Proxy(
            ("gateway.lua", "haproxy.cfg"),
            {
                "haproxy-sha256": "%[ssl_c_der,sha2(256),ub64enc]",
                "haproxy": "%[ssl_c_der,base64]",
                "rfc9440": ":%[ssl_c_der,base64]:",
            },
        ),
        "apache": Proxy(("refuse.lua", "httpd.conf"), {"apache": ""}, asks_gateway=False, introspects=True),
        "caddy": Proxy(
            ("Caddyfile",),
            {
                "caddy-sha256": "{http.request.tls.client.fingerprint}",
                "caddy": "{http.request.tls.client.certificate_der_base64}",
                "rfc9440": ":{http.request.tls.client.certificate_der_base64}:",
            },
        ),
        "traefik": Proxy(("traefik.yml", "dynamic.yml"), {"traefik": ""}, reaches_sockets=False),
    }
)


def render(name: str, settings: ProxyConfigSettings) -> dict[str, str]:
    """Return the text of each file by its name. Raises SettingsError if settings do not fit the proxy."""
    proxy = PROXIES[name]
    _check(name, proxy, settings)
    chosen = settings.format or next(iter(proxy.formats))
    environment = Environment(
        loader=PackageLoader("macaroon_cbat.proxy_config"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 # no HTML: every value was checked against its alphabet
    )
    environment.filters |= SPELLINGS
    values = {field: getattr(settings, field) for field in ProxyConfigSettings.__slots__}
    values |= {
        "format": chosen,
        "header": FORMATS[chosen].header,
        "with_certificate": proxy.formats[chosen],
        "principal_headers": NAMES,
        "credential_headers": CREDENTIAL_HEADERS,
        "removed": _removed(settings.removed_headers),
        "prefixes": UNTRUSTED_PREFIXES,
        "methods": METHODS,
        "own": _WRITTEN_BY_TRAEFIK,
        "document": _document(settings.audience),
        "document_path": unquote(_document(settings.audience)),
    }
    files = [file for file in proxy.files if file != "gateway.lua" or settings.gateway]
    return {file: environment.get_template(file).render(values) for file in files}


def _removed(further: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name of every header that a proxy removes from requests, each once in any letter case."""
    names = (*CERTIFICATE_HEADERS, *NAMES, "Proxysecret", *UNTRUSTED_HEADERS, *further)
    return tuple({name.lower(): name for name in reversed(names)}.values())[::-1]


def _document(audience: str) -> str:
    """Return the request target of the gateway's metadata document.

    Raises SettingsError for a path that a proxy reads as syntax or does not route.
    """
    target = metadata_target(audience_setting(audience, "--audience") if audience else audience)
    if not _DOCUMENT.fullmatch(target) or not _DOCUMENT_PATH.fullmatch(unquote(target)):
        raise SettingsError(
            f"--audience {audience!r} has a path that proxies do not route: use letters, digits, ._~/- and "
            "percent-encoded text, and no query"
        )
    return target


def _check(name: str, proxy: Proxy, settings: ProxyConfigSettings) -> None:
    """Raise SettingsError for a value that could be syntax, and for what this proxy does not support."""
    _check_alphabets(settings)
    if settings.format is not None and settings.format not in proxy.formats:
        raise SettingsError(
            f"--format {settings.format} is not a format of {name}: give {' or '.join(proxy.formats)}"
        )
    if settings.protocol not in proxy.protocols:
        raise SettingsError(
            f"--protocol {settings.protocol} is not one of {name}: give {' or '.join(proxy.protocols)}"
        )
    if settings.introspecting and not proxy.introspects:
        raise SettingsError(
            f"--issuer: {name} does not introspect tokens: use --gateway in place of --issuer"
        )
    if settings.gateway and not proxy.asks_gateway:
        raise SettingsError(
            f"--gateway: {name} cannot send requests to a gateway: leave it out and guard the upstream itself"
        )
    for option, address in (("--gateway", settings.gateway), ("--upstream", settings.upstream)):
        if address is not None and address.path and not proxy.reaches_sockets:
            raise SettingsError(f"{option} {address}: {name} cannot connect to a Unix socket: give HOST:PORT")
    if name == "haproxy" and settings.key not in (settings.certificate, Path(f"{settings.certificate}.key")):
        raise SettingsError(
            f"--key {settings.key} is not read by HAProxy: put the key into the certificate's file, or into "
            f"{settings.certificate}.key"
        )


def _check_alphabets(settings: ProxyConfigSettings) -> None:
    """Raise SettingsError for a value that could be syntax to some proxy."""
    files = {"--cert": settings.certificate, "--key": settings.key, "--output": settings.folder}
    for option, file in files.items():
        if not PLAIN_PATH.fullmatch(str(file)):
            raise SettingsError(
                f"{option} {str(file)!r} is not a usable path: use letters, digits and ._/@+- alone"
            )
    _document(settings.audience)
    for path in settings.websockets:
        if not _PATH.fullmatch(path):
            raise SettingsError(
                f"--websocket {path!r} is not a plain path: give / and letters, digits and ._/-"
            )
    for header in settings.removed_headers:
        if not _HEADER.fullmatch(header) or header.lower() in _KEPT:
            raise SettingsError(
                f"--remove-header {header!r} cannot be removed: name a header of letters, digits and - that "
                "requests can do without"
            )
    if settings.secret and not PLAIN_SECRET.fullmatch(settings.secret):
        raise SettingsError(
            "--secret-file holds no usable secret: give 16 to 256 letters, digits, hyphens and underscores"
        )
