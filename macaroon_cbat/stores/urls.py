"""Database URLs that the service accepts, and their options."""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_EXAMPLES = "sqlite:////var/lib/cbat/db.sqlite3 or postgresql://user@host/database"
_SEVERAL_HOSTS = re.compile(
    r"(?P<scheme>[\w+]+://)(?P<user>[^:/@?]*(?::[^@]*)?@)?(?P<hosts>[^/@?]*,[^/@?]*)(?P<rest>(?:[/?].*)?)",
    re.DOTALL,
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_USUAL_PORT = "5432"
_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_SQLITE: dict[str, Sequence[str] | None] = {
    "uri": ("true",),
    "mode": ("ro", "rw", "rwc"),
    "immutable": ("0", "1"),
    "vfs": None,
}
_NUMBERS = frozenset({"connect_timeout", "tcp_user_timeout", "keepalives"}) | {
    f"keepalives_{name}" for name in ("idle", "interval", "count")
}
_CHOICES: dict[str, Sequence[str] | None] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "sslcertmode": ("disable", "allow", "require"),
    "sslcompression": ("0", "1"),
    "sslsni": ("0", "1"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "gssdelegation": ("0", "1"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
    "client_encoding": ("utf8", "UTF8"),
}
_SEVERAL = ("host", "port")
_DRIVERS_OWN = {
    "prepare_threshold": "no statement is ever prepared, so PgBouncer needs no option",
    "autocommit": "the service begins and ends its transactions itself",
}


def read_url(text: str) -> URL:
    """Return a URL that names its driver. Raises SettingsError, in one line without a password."""
    try:
        url = _one_url(text)
        if url.drivername == "postgres":
            url = url.set(drivername="postgresql")
        backend, _, driver = url.drivername.partition("+")
        if backend not in _DRIVERS or driver not in ("", _DRIVERS[backend]):
            raise SettingsError(unusable(f"it is for {url.drivername}"))
    except (ArgumentError, ValueError) as error:
        raise SettingsError(unusable(str(error))) from error
    known = _SQLITE if backend == "sqlite" else dict.fromkeys(_names_of_libpq(), None) | _CHOICES
    for name, value in url.query.items():
        _check_option(known, name, [value] if isinstance(value, str) else value)
    if backend == "sqlite" and (url.database or "").removeprefix("file:") in ("", ":memory:"):
        raise SettingsError(unusable("a database in memory is lost with its process"))
    if backend == "sqlite" and url.query and "uri" not in url.query:
        raise SettingsError(_option(next(iter(url.query)), "goes with uri=true only: add &uri=true"))
    if url.port is not None and not _is_port(str(url.port)):
        raise SettingsError(unusable(f"port {url.port} is not from 1 to 65535"))
    return url.set(drivername=f"{backend}+{_DRIVERS[backend]}")


def shown(url: URL) -> str:
    """Return a URL for messages, with every host and without password and options."""
    plain = url.set(query={}, drivername=url.get_backend_name()).render_as_string()
    named, ports = url.query.get("host", ()), url.query.get("port")
    hosts = named if isinstance(named, str) else ",".join(named)
    if isinstance(named, str) and isinstance(ports, str):
        pairs = zip(hosts.split(","), ports.split(","), strict=False)
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs)
    start, at, end = plain.partition("@") if "@" in plain else plain.partition("//")
    return f"{start}{at}{hosts}{end}"


def _one_url(text: str) -> URL:
    """Return a URL. Several hosts, with commas between as libpq writes them, become its options."""
    found = _SEVERAL_HOSTS.fullmatch(text)
    if found is None:
        return make_url(text)
    places = [_HOST_AND_PORT.fullmatch(one) for one in found["hosts"].split(",")]
    url = make_url(f"{found['scheme']}{found['user'] or ''}{found['rest']}")
    if "host" in url.query or "port" in url.query:
        raise ArgumentError("hosts are in two places: write all of them in front of the database")
    named = [(one["host"].strip("[]"), one["port"]) for one in places if one is not None]
    if len(named) != len(places):
        raise ArgumentError(f"{found['hosts'][:60]!r} is no list of hosts such as db1:5432,db2:5432")
    hosts, ports = (",".join(each) for each in zip(*((h, p or _USUAL_PORT) for h, p in named), strict=True))
    return url.update_query_dict({"host": hosts, "port": ports})


def unusable(reason: str) -> str:
    """Return the message about a URL that cannot be used."""
    return (
        f"the database URL cannot be used ({reason.partition(chr(10))[0]}): set MACAROON_CBAT_DATABASE_URL "
        f"to one such as {_EXAMPLES}"
    )


def _check_option(known: Mapping[str, Sequence[str] | None], name: str, values: Sequence[str]) -> None:
    """Raise SettingsError for an option that the driver does not know, or for a value it cannot use."""
    if name in _DRIVERS_OWN:
        raise SettingsError(_option(name, f"is not one to set: leave it out, {_DRIVERS_OWN[name]}"))
    if name not in known:
        raise SettingsError(_option(name, f"is unknown: leave it out; known are {', '.join(sorted(known))}"))
    if len(values) > 1 and name not in _SEVERAL:
        raise SettingsError(_option(name, "is there twice: leave one of them out"))
    if name in _NUMBERS and not _NUMBER.match(values[0]):
        raise SettingsError(_option(name, f"must be a number, not {values[0][:20]!r}"))
    if name == "port" and not all(_is_port(one) for value in values for one in value.split(",")):
        raise SettingsError(_option(name, f"must be from 1 to 65535, not {values[0][:20]!r}"))
    choices = known[name]
    if choices is not None and values[0] not in choices:
        raise SettingsError(_option(name, f"must be {' or '.join(choices)}, not {values[0][:20]!r}"))


def _is_port(text: str) -> bool:
    return _NUMBER.match(text) is not None and 0 < int(text) < 1 << 16


def _option(name: str, reason: str) -> str:
    return f"the option {name[:40]} of the database URL (MACAROON_CBAT_DATABASE_URL) {reason}"


def _names_of_libpq() -> list[str]:
    """Return the options of libpq without those for debugging. Raises MissingExtra without psycopg."""
    with extra("postgresql"):
        from psycopg.pq import Conninfo
    return [one.keyword.decode() for one in Conninfo.get_defaults() if one.dispchar != b"D"]
