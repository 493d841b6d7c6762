"""Configurations of proxies from templates and settings that were checked first.

Every value is of an alphabet without white space, quotes and anything else that is syntax to one of the
proxies, so templates insert it as it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined

from macaroon_cbat.certificate_formats import FORMATS
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.proxy_config.addresses import Address
from macaroon_cbat.proxy_config.introspecting import Introspecting
from macaroon_cbat.resource.gateway.principal_headers import NAMES

CERTIFICATE_HEADERS = (
    "Clientcert",
    "Clientcertverify",
    "Clientcertx5t",
    "Clientcertsha256",
    "Client-Cert",
    "Client-Cert-Chain",
)
"""What a certificate may travel in: no proxy passes on what a client wrote under these names."""

_FILE = re.compile(r"/[A-Za-z0-9._/@+-]+")
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")


@dataclass(frozen=True, slots=True)
class Proxy:
    """What can be generated for one proxy."""

    files: tuple[str, ...]
    """The file with the guarded listener comes last; the others stand beside it."""
    formats: Mapping[str, str]
    """Its own expression for the certificate, by the name of our format; the first is the default.

    Empty where the template has but one.
    """
    protocols: tuple[str, ...] = ("http",)
    asks_gateway: bool = True
    introspects: bool = False
    reaches_sockets: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What a configuration is generated from."""

    listen: Address
    http_listen: Address | None
    upstream: Address
    gateway: Address | None
    """None: the upstream guards itself and gets the certificate."""
    certificate: Path
    key: Path
    folder: Path
    """Where files that name each other will stand."""
    format: str | None = None
    protocol: str = "http"
    secret: str = ""
    introspecting: Introspecting | None = None
    """None: the proxy does not ask about tokens itself."""


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
        "apache": Proxy(("httpd.conf",), {"apache": ""}, asks_gateway=False, introspects=True),
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


def render(name: str, settings: ProxySettings) -> dict[str, str]:
    """Return the text of each file by its name, or raise SettingsError that says what does not fit."""
    proxy = PROXIES[name]
    _check(name, proxy, settings)
    if settings.introspecting and not proxy.introspects:
        raise SettingsError(f"{name} does not introspect: leave out --issuer, and use --gateway")
    chosen = settings.format or next(iter(proxy.formats))
    environment = Environment(
        loader=PackageLoader("macaroon_cbat.proxy_config"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 # no HTML: every value was checked against its alphabet
    )
    values = {field: getattr(settings, field) for field in ProxySettings.__slots__}
    values |= {
        "format": chosen,
        "header": FORMATS[chosen].header,
        "with_certificate": proxy.formats[chosen],
        "certificate_headers": CERTIFICATE_HEADERS,
        "principal_headers": NAMES,
    }
    files = [file for file in proxy.files if file != "gateway.lua" or settings.gateway]
    return {file: environment.get_template(file).render(values) for file in files}


def _check(name: str, proxy: Proxy, settings: ProxySettings) -> None:
    for option, file in (
        ("--cert", settings.certificate),
        ("--key", settings.key),
        ("--output", settings.folder),
    ):
        if not _FILE.fullmatch(str(file)):
            raise SettingsError(f"{option}: {str(file)!r} is not made of letters, digits and ._/@+- alone")
    if settings.secret and not _SECRET.fullmatch(settings.secret):
        raise SettingsError("the proxy's secret is not 16 to 256 letters, digits, hyphens and underscores")
    if settings.format is not None and settings.format not in proxy.formats:
        raise SettingsError(
            f"{name} writes the certificate as {' or '.join(proxy.formats)}, not {settings.format}"
        )
    if settings.protocol not in proxy.protocols:
        raise SettingsError(
            f"{name} asks the gateway over {' or '.join(proxy.protocols)}, not {settings.protocol}"
        )
    if settings.gateway and not proxy.asks_gateway:
        raise SettingsError(
            f"{name} has no way to ask a gateway: leave out --gateway and guard the upstream itself"
        )
    for option, address in (("--gateway", settings.gateway), ("--upstream", settings.upstream)):
        if address is not None and address.path and not proxy.reaches_sockets:
            raise SettingsError(f"{option}: {name} does not reach a Unix socket, give HOST:PORT")
    if name == "haproxy" and settings.key not in (settings.certificate, Path(f"{settings.certificate}.key")):
        raise SettingsError(
            f"--key: HAProxy reads the key from the certificate's file, or from {settings.certificate}.key"
        )
