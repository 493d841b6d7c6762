"""`macaroon-cbat deploy-config`: files for those who run the service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.generated_files import write_files
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import FILE, force_option, read_secret
from macaroon_cbat.deploy_config import DeploySettings, render
from macaroon_cbat.deploy_config.settings import (
    read_image,
    read_issuer,
    read_namespace,
    read_path,
    read_role,
    read_target,
    read_user,
)
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.proxy_config import ProxyConfigSettings, read_listener, read_upstream
from macaroon_cbat.proxy_config import render as render_proxy

_USUAL = DeploySettings()


def _option(name: str, usual: object, words: str, **kind: Any) -> Callable[..., Any]:
    """Return an option whose default, if any, its help shows."""
    return click.option(
        name, default=None if usual is None else str(usual), show_default=True, help=words, **kind
    )


_FILE: dict[str, Any] = {
    "type": click.Path(path_type=Path, file_okay=True, dir_okay=False),
    "metavar": "FILE",
}
_ISSUER = click.option("--issuer", required=True, metavar="URL", help="Public URL of the service.")
_LISTEN = _option("--listen", _USUAL.listen, "Address of the TLS port.", metavar="IP:PORT")
_MANAGEMENT = _option("--management", _USUAL.management, "Address of probes and metrics.", metavar="IP:PORT")
_CERTIFICATE = _option("--cert", _USUAL.certificate, "Server certificate chain, PEM.", **_FILE)
_KEY = _option("--key", _USUAL.key, "Its private key, PEM.", **_FILE)
_WRAPPING_KEY = _option("--wrapping-key-file", _USUAL.wrapping_key_file, "File of the wrapping key.", **_FILE)
_DATABASE = _option(
    "--database-url-file",
    None,
    "File with PostgreSQL's URL for the service's role.  [default: SQLite]",
    **_FILE,
)
_OWNER = _option(
    "--owner-database-url-file", None, "File with its URL for the role that owns the tables.", **_FILE
)
_ROLE = _option("--database-role", _USUAL.role, "Role of the service in PostgreSQL.", metavar="NAME")
_WORKERS = click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of one service."
)
_IMAGE = _option("--image", _USUAL.image, "Name of the container image.", metavar="NAME")
_OUTPUT = click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR",
    help="Folder to write the files into.",
)  # fmt: skip


def _with(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add these options, and those of every command."""

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        every: tuple[Callable[..., Any], ...] = (*options, _OUTPUT, force_option)
        for option in reversed(every):
            command = option(command)
        return command

    return added


@click.group("deploy-config", cls=Group, short_help="Write files that run and watch the service.")
def deploy_config() -> None:
    """Write files that run and watch the service."""


@deploy_config.command("systemd", short_help="A hardened unit and its socket.")
@_with(
    _ISSUER, _LISTEN, _MANAGEMENT, _CERTIFICATE, _KEY, _WRAPPING_KEY, _DATABASE, _WORKERS,
    _option("--program", _USUAL.program, "The installed command.", **_FILE),
    _option("--user", _USUAL.user, "User of the service.", metavar="NAME"),
)  # fmt: skip
def systemd(output: Path, *, force: bool, user: str, program: Path, **given: Any) -> None:
    """Write a hardened unit and its socket."""
    settings = _settings(user=read_user(user), program=read_path(program, "--program"), **given)
    write_files(render("systemd", settings), output, force=force)


@deploy_config.command("compose", short_help="A compose file and the image's Containerfile.")
@_with(
    _ISSUER, _LISTEN, _MANAGEMENT, _CERTIFICATE, _KEY, _WRAPPING_KEY, _DATABASE, _OWNER, _ROLE, _WORKERS,
    _IMAGE,
)  # fmt: skip
def compose(output: Path, *, force: bool, image: str, **given: Any) -> None:
    """Write a compose file and the image's Containerfile."""
    settings = _settings(image=read_image(image), **given)
    write_files(render("compose", settings), output, force=force)


@deploy_config.command("kubernetes", short_help="Manifests with probes and secrets as files.")
@_with(
    _ISSUER,
    _MANAGEMENT,
    _ROLE,
    _WORKERS,
    _IMAGE,
    _option("--namespace", _USUAL.namespace, "Namespace of all objects.", metavar="NAME"),
    click.option("--replicas", type=click.IntRange(1, 100), default=2, show_default=True, help="Pods."),
)
def kubernetes(output: Path, *, force: bool, image: str, namespace: str, replicas: int, **given: Any) -> None:
    """Write manifests of pods that share one PostgreSQL database."""
    settings = _settings(
        image=read_image(image), namespace=read_namespace(namespace), replicas=replicas, **given
    )
    write_files(render("kubernetes", settings), output, force=force)


@deploy_config.command("prometheus", short_help="A scrape configuration and alert rules.")
@_with(
    click.option(
        "--target", "targets", multiple=True, required=True, metavar="HOST:PORT",
        help="Management port of a service. May be repeated.",
    )
)  # fmt: skip
def prometheus(output: Path, *, force: bool, targets: tuple[str, ...]) -> None:
    """Write a scrape configuration and alert rules."""
    settings = DeploySettings(targets=tuple(map(read_target, targets)))
    write_files(render("prometheus", settings), output, force=force)


@deploy_config.command("grafana", short_help="A dashboard.")
@_with()
def grafana(output: Path, *, force: bool) -> None:
    """Write a dashboard, to be imported or provisioned."""
    write_files(render("grafana", _USUAL), output, force=force)


@deploy_config.command("nginx-service", short_help="nginx in front of the service.")
@_with(
    _option("--listen", "0.0.0.0:443", "TLS listener.", metavar="IP:PORT"),
    click.option(
        "--upstream", "upstreams", multiple=True, required=True, metavar="ADDRESS",
        help="A process of the service, HOST:PORT or unix:PATH. May be repeated.",
    ),
    _CERTIFICATE,
    _KEY,
    click.option(
        "--secret-file", type=FILE, required=True, metavar="FILE",
        help="File with the secret that nginx sends as Proxysecret.",
    ),
)  # fmt: skip
def nginx_service(
    listen: str,
    upstreams: tuple[str, ...],
    cert: Path,
    key: Path,
    secret_file: Path,
    output: Path,
    *,
    force: bool,
) -> None:
    """Write nginx's configuration for the service: any client certificate is handed over, no spoofed one."""
    first, *further = (read_upstream(text, "--upstream") for text in upstreams)
    settings = ProxyConfigSettings(
        listen=read_listener(listen, "--listen"),
        http_listen=None,
        upstream=first,
        further_upstreams=tuple(further),
        is_service=True,
        gateway=None,
        certificate=cert,
        key=key,
        folder=output.absolute(),
        secret=read_secret(secret_file),
    )
    write_files(render_proxy("nginx", settings), output, [settings.secret], force=force)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "listen": read_listener,
    "management": read_listener,
    "cert": read_path,
    "key": read_path,
    "wrapping_key_file": read_path,
    "database_url_file": read_path,
    "owner_database_url_file": read_path,
}


def _settings(*, issuer: str, **given: Any) -> DeploySettings:
    """Return the settings that options name. Raises SettingsError for a value that could be syntax."""
    for name, read in _READERS.items():
        if given.get(name) is not None:
            given[name] = read(given[name], f"--{name.replace('_', '-')}")
    if "database_role" in given:
        given["role"] = read_role(given.pop("database_role"))
    if "cert" in given:
        given["certificate"] = given.pop("cert")
    owner = "owner_database_url_file"
    if owner in given and (given[owner] is None) is not (given["database_url_file"] is None):
        raise SettingsError(
            "--database-url-file and --owner-database-url-file go together: give both, or none"
        )
    return DeploySettings(issuer=read_issuer(issuer), **given)
