"""`macaroon-cbat gateway`: answer questions of nginx, Traefik, Caddy, HAProxy and Envoy about requests."""

import sys
from pathlib import Path

import click

from macaroon_cbat.cli.logs import log_to_stderr
from macaroon_cbat.cli.options import FILE
from macaroon_cbat.errors import MacaroonError, SettingsError
from macaroon_cbat.macaroon.audiences import canonical_audience


class _Unusable(MacaroonError):
    """A checked policy file that is not usable; exit status 1, as for every refusal."""


@click.command("gateway", short_help="Answer a proxy about each request, by a policy file.")
@click.argument("policy", type=FILE)
@click.option("--check", is_flag=True, help="Read the file and what it names, print the rules, and end.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def gateway(policy: Path, *, check: bool, workers: int) -> None:
    """Answer a proxy's question about each request, by the rules in a POLICY file (TOML).

    SIGHUP, or a changed file, put new rules in force without dropping a request.
    """
    if check:
        _check(policy)
        return
    from macaroon_cbat.gateway.supervisor import serve_gateway

    log_to_stderr()
    serve_gateway(policy, workers=workers, on_ready=_say_ready)


def _check(file: Path) -> None:
    from macaroon_cbat.gateway.policy_in_force import load_policy, places, put_in_force

    try:
        loaded = load_policy(file)
        in_force = put_in_force(loaded)
    except SettingsError as error:
        raise _Unusable(str(error)) from error
    policy, trust = loaded.policy, ", ".join(loaded.policy.proxy.trust)
    issuer = in_force.verifier.verifier.issuer
    click.echo(f"{file}: tokens of {issuer} for {canonical_audience(policy.audience)}")
    for member, place in places(loaded).items():
        click.echo(f"  {member:<8}{place}")
    click.echo(f"  asked by {policy.proxy.kind}, from {trust}")
    for rule in policy.rule:
        click.echo(f"  {rule}")
    click.echo("  every other request is refused")


def _say_ready(where: str) -> None:
    click.echo(f"macaroon-cbat gateway ready on {where}")
    sys.stdout.flush()
