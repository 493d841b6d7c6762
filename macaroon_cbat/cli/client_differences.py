"""The differences between registered clients and those of a file: each is shown first, and made then."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from macaroon_cbat.cli.administration import Verbs
from macaroon_cbat.cli.clients_file import WantedClient
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.admin.shapes import ClientRecord, SecretRotation
from macaroon_cbat.service.admin.versions import version_of
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.client_changes import takes_away
from macaroon_cbat.stores.client_secrets import secret_name
from macaroon_cbat.stores.clients import SECRET_METHODS

_MEMBERS = ClientMetadata.__struct_fields__
_DEFAULTS = dict(zip(_MEMBERS, ClientMetadata.__struct_defaults__, strict=True))


@dataclass(frozen=True, slots=True)
class Added:
    """A client of the file that is not registered."""

    wanted: WantedClient

    def lines(self) -> Iterator[str]:
        """Yield the lines that show it."""
        yield f"+ {self.wanted.client_id}"
        for name in _MEMBERS:
            if (value := getattr(self.wanted.metadata, name)) != _DEFAULTS[name]:
                yield f"    {name}: {_text(value)}"

    def make(self, verbs: Verbs) -> None:
        """Register the client."""
        members: dict[str, object] = msgspec.to_builtins(self.wanted.metadata)
        members["client_id"] = self.wanted.client_id
        if self.wanted.secret_sha256 is not None:
            members["client_secret_sha256"] = self.wanted.secret_sha256
        verbs.add_client(members)


@dataclass(frozen=True, slots=True)
class Changed:
    """A registered client of which the file says something else."""

    wanted: WantedClient
    record: ClientRecord

    def lines(self) -> Iterator[str]:
        """Yield the lines that show it."""
        before, after = _metadata(self.record), self.wanted.metadata
        ends_secret = self._has_another_secret() and not self.wanted.keep_old
        loses = takes_away(before, after) or ends_secret
        yield f"~ {self.wanted.client_id}{'  (its tokens are revoked)' if loses else ''}"
        for name in self._other_members():
            yield f"    {name}: {_text(getattr(before, name))} -> {_text(getattr(after, name))}"
        if self._has_another_secret():
            kept = self.wanted.keep_old
            yield f"    secret: another one, the old one {f'valid for {kept} s' if kept else 'ends at once'}"

    def make(self, verbs: Verbs) -> None:
        """Change what differs. Raises PreconditionFailed if the client was changed since it was shown."""
        record, others = self.record, self._other_members()
        if others:
            patch = {name: self._patch(name) for name in others}
            record = verbs.change_client(record.client_id, patch, (version_of(record),))
        if self._has_another_secret():
            rotation = SecretRotation(self.wanted.keep_old, self.wanted.secret_sha256)
            verbs.secrets.rotate(record.client_id, rotation, (version_of(record),))

    def is_any(self) -> bool:
        """Return True if anything differs."""
        return bool(self._other_members()) or self._has_another_secret()

    def _other_members(self) -> list[str]:
        before, after = _metadata(self.record), self.wanted.metadata
        return [name for name in _MEMBERS if getattr(before, name) != getattr(after, name)]

    def _has_another_secret(self) -> bool:
        given = self.wanted.secret_sha256
        return given is not None and secret_name(bytes.fromhex(given)) != self.record.client_secret_id

    def _patch(self, name: str) -> object:
        """Return what a merge patch (RFC 7396) says of a member: null for its default."""
        before, after = getattr(self.record, name), getattr(self.wanted.metadata, name)
        if isinstance(before, dict) and isinstance(after, dict):
            return dict.fromkeys(before.keys() - after.keys()) | after
        return None if after == _DEFAULTS[name] else msgspec.to_builtins(after)


@dataclass(frozen=True, slots=True)
class Removed:
    """A registered client that the file does not have."""

    record: ClientRecord

    def lines(self) -> Iterator[str]:
        """Yield the line that shows it."""
        yield f"- {self.record.client_id}  (its tokens are revoked)"

    def make(self, verbs: Verbs) -> None:
        """Remove the client. Raises PreconditionFailed if it was changed since it was shown."""
        verbs.remove_client(self.record.client_id, (version_of(self.record),))


Difference = Added | Changed | Removed


def differences(
    wanted: Iterable[WantedClient], registered: Iterable[ClientRecord], *, prunes: bool
) -> list[Difference]:
    """Return what has to be done, removals last. Raises SettingsError for what cannot be done."""
    left = {record.client_id: record for record in registered}
    found: list[Difference] = []
    for one in wanted:
        record = left.pop(one.client_id, None)
        _refuse_method(one, record)
        if record is None:
            found.append(Added(one))
        elif (change := Changed(one, record)).is_any():
            found.append(change)
    return found + [Removed(record) for record in left.values() if prunes]


def _refuse_method(one: WantedClient, record: ClientRecord | None) -> None:
    """Raise SettingsError for a client without the secret that its method needs, or with one too many."""
    needs_secret = one.metadata.token_endpoint_auth_method in SECRET_METHODS
    if record is None and needs_secret and one.secret_sha256 is None:
        raise SettingsError(
            f"client {one.client_id} is new and needs a secret: give secret_sha256, secret_file or secret_env"
        )
    if record is not None and needs_secret != (record.client_secret_id is not None):
        raise SettingsError(
            f"client {one.client_id} authenticates by {record.token_endpoint_auth_method}, and cannot change "
            f"to {one.metadata.token_endpoint_auth_method}: remove it first"
        )


def _metadata(record: ClientRecord) -> ClientMetadata:
    return ClientMetadata(**{name: getattr(record, name) for name in _MEMBERS})


def _text(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value))
