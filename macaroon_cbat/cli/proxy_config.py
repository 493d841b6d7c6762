"""`macaroon-cbat proxy-config`: a configuration for the proxy in front of a resource server."""

from pathlib import Path

import click

from macaroon_cbat.cli.generated_files import write_files
from macaroon_cbat.cli.options import FILE, force_option, is_standard_output, read_secret
from macaroon_cbat.cli.proxy_introspection import introspecting_options
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.proxy_config import (
    PROXIES,
    ProxyConfigSettings,
    ProxyIntrospection,
    read_listener,
    read_upstream,
    render,
)

_FORMATS = sorted({name for proxy in PROXIES.values() for name in proxy.formats})


@click.command("proxy-config", short_help="Print the configuration of a proxy.")
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
    help="The gateway that decides about requests. Without it the upstream guards itself, and gets the "
    "certificate.",
)
@click.option(
    "--audience",
    default="",
    metavar="URL",
    help="Audience of the gateway's policy file if it has a path: its metadata document is routed to the "
    "gateway.",
)
@click.option(
    "--websocket",
    "websockets",
    multiple=True,
    metavar="PATH",
    help="Let clients open a WebSocket on this path. No other upgrade passes. May be repeated.",
)
@click.option(
    "--remove-header",
    "removed_headers",
    multiple=True,
    metavar="NAME",
    help="Remove this request header too: one that your server believes. May be repeated.",
)
@click.option(
    "--cert", "certificate", type=FILE, required=True, metavar="FILE", help="Server certificate, PEM."
)
@click.option("--key", type=FILE, metavar="FILE", help="Its private key, PEM. [default: in the same file]")
@click.option(
    "--format",
    "certificate_format",
    type=click.Choice(_FORMATS),
    help="Certificate format, if the proxy has several.",
)
@click.option(
    "--protocol",
    type=click.Choice(["http", "grpc"]),
    default="http",
    show_default=True,
    help="Protocol between Envoy and the gateway.",
)
@click.option(
    "--secret-file",
    type=FILE,
    metavar="FILE",
    help="File with the secret that the proxy sends as Proxysecret.",
)
@introspecting_options
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the files there; needed for a proxy with two. [default: -, stdout]",
)
@force_option
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
    introspecting: ProxyIntrospection | None,
    *,
    force: bool,
) -> None:
    """Print the configuration of a proxy that accepts any client certificate and forwards no spoofed one."""
    output = None if output is None or is_standard_output(output) else output
    settings = ProxyConfigSettings(
        listen=read_listener(listen, "--listen"),
        http_listen=None if http_listen is None else read_listener(http_listen, "--http-listen"),
        upstream=read_upstream(upstream, "--upstream"),
        gateway=None if gateway is None else read_upstream(gateway, "--gateway"),
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
    if output is not None:
        write_files(files, output, _secrets(settings), force=force)
    elif len(files) > 1:
        raise SettingsError(f"{' and '.join(files)} are needed: name a folder for them with --output")
    else:
        click.echo("".join(files.values()), nl=False)


def _secrets(settings: ProxyConfigSettings) -> list[str]:
    """Return the secrets that make a file private."""
    asked = settings.introspecting
    return [secret for secret in (settings.secret, asked and asked.client_secret) if secret]
