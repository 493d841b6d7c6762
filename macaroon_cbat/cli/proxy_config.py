"""`macaroon-cbat proxy-config`: a configuration for the proxy in front of a resource server."""

from pathlib import Path

import click

from macaroon_cbat.cli.introspecting import introspecting_options
from macaroon_cbat.cli.options import FILE, read_secret, write_secret
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.proxy_config import (
    PROXIES,
    Introspecting,
    ProxySettings,
    read_address,
    read_listener,
    render,
)

_FORMATS = sorted({name for proxy in PROXIES.values() for name in proxy.formats})


@click.command("proxy-config")
@click.argument("proxy", type=click.Choice(sorted(PROXIES)))
@click.option("--listen", default="0.0.0.0:443", show_default=True, metavar="IP:PORT", help="TLS listener.")
@click.option(
    "--http-listen", metavar="IP:PORT", help="Plain HTTP listener, which answers 403 to everything."
)
@click.option(
    "--upstream", required=True, metavar="ADDRESS", help="The resource server, HOST:PORT or unix:PATH."
)
@click.option(
    "--gateway",
    metavar="ADDRESS",
    help="Who judges each request. Without it the upstream guards itself and gets the certificate.",
)
@click.option(
    "--audience",
    default="",
    metavar="URL",
    help="Of the gateway's policy file, where it has a path: its metadata document is routed to the gateway.",
)
@click.option(
    "--websocket",
    "websockets",
    multiple=True,
    metavar="PATH",
    help="Let clients open a WebSocket on this path; elsewhere, and to another protocol, no upgrade passes.",
)
@click.option(
    "--remove-header",
    "removed_headers",
    multiple=True,
    metavar="NAME",
    help="Forward no such request header of a client: one that your server believes, beside those we know.",
)
@click.option(
    "--cert", "certificate", type=FILE, required=True, metavar="FILE", help="Server certificate, PEM."
)
@click.option("--key", type=FILE, metavar="FILE", help="Its private key, PEM. [default: in the same file]")
@click.option(
    "--format", "certificate_format", type=click.Choice(_FORMATS), help="Where a proxy has several."
)
@click.option(
    "--protocol",
    type=click.Choice(["http", "grpc"]),
    default="http",
    show_default=True,
    help="How Envoy asks the gateway.",
)
@click.option(
    "--secret-file", type=FILE, metavar="FILE", help="Secret by which the proxy makes itself known."
)
@introspecting_options
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the files there; needed for a proxy with two.",
)
def proxy_config(
    proxy: str,
    listen: str,
    http_listen: str | None,
    upstream: str,
    gateway: str | None,
    audience: str,
    websockets: tuple[str, ...],
    removed_headers: tuple[str, ...],
    certificate: Path,
    key: Path | None,
    certificate_format: str | None,
    protocol: str,
    secret_file: Path | None,
    output: Path | None,
    introspecting: Introspecting | None,
) -> None:
    """Print the configuration of a proxy that accepts any client certificate and lets nobody spoof one."""
    settings = ProxySettings(
        listen=read_listener(listen, "--listen"),
        http_listen=None if http_listen is None else read_listener(http_listen, "--http-listen"),
        upstream=read_address(upstream, "--upstream"),
        gateway=None if gateway is None else read_address(gateway, "--gateway"),
        certificate=certificate.absolute(),
        key=(key or certificate).absolute(),
        folder=(output or Path.cwd()).absolute(),
        format=certificate_format,
        audience=audience,
        websockets=websockets,
        removed_headers=removed_headers,
        protocol=protocol,
        secret="" if secret_file is None else read_secret(secret_file),
        introspecting=introspecting,
    )
    files = render(proxy, settings)
    if output is None and len(files) > 1:
        raise SettingsError(f"{' and '.join(files)} are needed: name a folder for them with --output")
    if output is None:
        click.echo("".join(files.values()), nl=False)
        return
    secrets = [
        secret for secret in (settings.secret, introspecting and introspecting.client_secret) if secret
    ]
    for name, text in files.items():
        _write(output / name, text, is_secret=any(secret in text for secret in secrets))


def _write(file: Path, text: str, *, is_secret: bool) -> None:
    if is_secret:
        write_secret(file, text.encode())
        return
    try:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)  # whatever the umask: Apache's workers read refuse.lua as another user
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error
