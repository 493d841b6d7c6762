"""Registered clients as the command line names and shows them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from macaroon_cbat.cli.options import FILE
from macaroon_cbat.errors import NotFound
from macaroon_cbat.service.admin.shapes import ClientRecord
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.text.printable import printable

AUDIENCE = "A resource server that it may get tokens for."
SERVES = "An audience that it serves as its resource server."
REPEATED = "May be repeated."


def certificates_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --certificate, which may be repeated."""
    return click.option(
        "--certificate",
        "certificates",
        multiple=True,
        type=FILE,
        metavar="FILE",
        help=f"Its certificate, for self_signed_tls_client_auth. {REPEATED}",
    )(command)


def groups_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --group, which may be repeated."""
    return click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help=f"A group of which the service confirms to third parties that it is a member. {REPEATED}",
    )(command)


def judges_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --judges, which may be repeated."""
    return click.option(
        "--judges",
        multiple=True,
        metavar="NAME",
        help=f"A type of details or a custom caveat that it judges, as a resource server. {REPEATED}",
    )(command)


def metadata_of(one: ClientRecord) -> dict[str, object]:
    """Return the metadata of a client, in the terms of RFC 7591, for JSON."""
    members: dict[str, object] = msgspec.to_builtins(one)
    return {name: value for name, value in members.items() if name in ClientMetadata.__struct_fields__}


def secret_facts_of(one: ClientRecord) -> dict[str, object]:
    """Return what may be told of a client's secrets, for JSON: nothing where it has none."""
    facts = {"client_secret_id": one.client_secret_id, "old_secret_until": one.old_secret_until}
    return {name: value for name, value in facts.items() if value is not None}


@contextmanager
def usage_of_unknown_names() -> Iterator[None]:
    """Turn a name that no client has into wrong usage."""
    try:
        yield
    except NotFound as error:
        raise click.UsageError(printable(str(error))) from error


def line_of(one: ClientRecord) -> str:
    """Return the line of a client in a list."""
    bound = "  bound" if one.tls_client_certificate_bound_access_tokens else ""
    serves = f"  serves {' '.join(one.serves)}" if one.serves else ""
    return (
        f"{one.client_id}  {one.token_endpoint_auth_method}  "
        f'"{one.scope or ""}"  {" ".join(one.audiences) or "-"}{serves}{bound}'
    )
