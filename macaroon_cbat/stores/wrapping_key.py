"""Encryption of root keys at rest: AES-256-GCM under a wrapping key from a 0600 file or the environment."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files import replace_file
from macaroon_cbat.files.lock import locked
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.places import destination
from macaroon_cbat.stores.wrapping_command import WrappingCommand
from macaroon_cbat.text.base64url import decode_written_key, encode

WRAPPING_KEY_BYTES = 32
_NONCE_BYTES = 12


class WrappingKey(Struct, frozen=True):
    """The key of 32 bytes that encrypts root keys. Keys in `previous` are being replaced and only decrypt.

    An operator may rewrap the root keys while a process runs if the key has a `file`. The process encrypts
    under the key that is in the file at that moment, and reads the file again if it cannot decrypt a root
    key. A file that the operator wrote, perhaps for several hosts, `is_given`: rewrapping never writes it.
    With a `command`, the file holds the key encrypted, and the command decrypts it.
    """

    secret: bytes
    previous: tuple[bytes, ...] = ()
    file: Path | None = None
    is_given: bool = False
    command: WrappingCommand | None = None

    def __repr__(self) -> str:
        """Show no key."""
        return "<WrappingKey>"

    def wrap(self, kid: str, secret: bytes) -> bytes:
        """Return nonce and ciphertext of a root key. The name of the key is authenticated as well."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM((self._newest() or self).secret).encrypt(nonce, secret, kid.encode())

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        """Return the root key. Raises SettingsError if it was encrypted under another wrapping key."""
        for secret in self._all():
            try:
                return AESGCM(secret).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], kid.encode())
            except (InvalidTag, ValueError):
                continue
        raise SettingsError(
            f"root key {kid} cannot be decrypted: it was stored under another wrapping key; "
            "restore the wrapping.key (or MACAROON_CBAT_WRAPPING_KEY or _FILE) that belongs to this database"
        )

    def _all(self) -> Iterator[bytes]:
        yield from (self.secret, *self.previous)
        if (newer := self._newest()) is not None:
            yield from (newer.secret, *newer.previous)

    def _newest(self) -> "WrappingKey | None":
        """Return the key that is in the file now, or None without a file.

        Raises Unavailable if its command does not answer: the process may go on with the next request.
        """
        if self.file is None:
            return None
        if self.command is None:
            return _read(self.file, is_given=self.is_given)
        try:
            return unwrapped_key(self.file, self.command)
        except SettingsError as error:
            raise Unavailable(str(error)) from error


def replace_wrapping_key(file: Path, rewrap: Callable[[WrappingKey], int]) -> int:
    """Put a new key into the file, let `rewrap` encrypt every root key under it, and return its result.

    Meanwhile the file holds both keys, so an interrupted rewrap has lost nothing and can be repeated. Raises
    SettingsError while another process rewraps, which would lose every key, and if the file cannot be
    replaced; nothing has changed then.
    """
    with _alone(file):
        old = _read(file)
        both = WrappingKey(os.urandom(WRAPPING_KEY_BYTES), (old.secret, *old.previous), file)
        _replace(file, both)
        count = rewrap(both)
        try:
            _replace(file, WrappingKey(both.secret))
        except SettingsError as error:
            raise SettingsError(
                f"all {count} keys are encrypted anew, but the old wrapping key is still beside the new one: "
                f"run key rewrap again ({error})"
            ) from error
        return count


def wrapping_key_text(key: WrappingKey) -> str:
    """Return the key as text, followed by the previous ones."""
    secrets = (key.secret, *key.previous)
    return " ".join(encode(secret) for secret in secrets)


def wrapping_key_from_text(text: str, name: str) -> WrappingKey:
    """Return the key in this text: 32 bytes as base64url. Further words are previous keys.

    Raises SettingsError if a word is malformed.
    """
    try:
        secret, *previous = [decode_written_key(word) for word in text.split()]
    except ValueError as error:
        raise SettingsError(
            f"{name} must be 32 bytes as base64url, 43 characters: make it with macaroon-cbat key "
            "generate-wrapping"
        ) from error
    return WrappingKey(secret, tuple(previous))


def read_or_make_wrapping_key(file: Path) -> WrappingKey:
    """Return the key in the file. A missing file is made, with mode 0600.

    Raises SettingsError if the file cannot be read, or if another user may read it.
    """
    try:
        if not file.exists():
            if file.is_symlink():
                raise SettingsError(
                    f"the wrapping key {file} is a link to {file.readlink()}, which is missing: "
                    "put the key there, or remove the link to make a new one"
                )
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was quicker: its key is the one
                _make(file)
    except OSError as error:
        raise SettingsError(f"the wrapping key {file} cannot be made: {error}") from error
    return _read(file)


def read_wrapping_key(file: Path, *, is_given: bool = False) -> WrappingKey:
    """Return the key in the file, which `is_given` if the operator wrote it.

    Raises SettingsError if it is missing, cannot be read, or may be read by another user.
    """
    return _read(file, is_given=is_given)


def unwrapped_key(file: Path, command: WrappingCommand) -> WrappingKey:
    """Return the key that the file holds encrypted, as the command answers it: as text, or as its 32 bytes.

    Raises SettingsError if the command does not answer, or answers no key.
    """
    answer = command.unwrapped(file)
    if len(answer) == WRAPPING_KEY_BYTES:
        return WrappingKey(answer, (), file, is_given=True, command=command)
    text = answer.decode(errors="replace")
    key = wrapping_key_from_text(text, f"the answer of the wrapping command about {file}")
    return WrappingKey(key.secret, key.previous, file, is_given=True, command=command)


def new_wrapping_key_text(previous: tuple[bytes, ...] = ()) -> str:
    """Return a new random key as text, before the previous ones."""
    return wrapping_key_text(WrappingKey(os.urandom(WRAPPING_KEY_BYTES), previous))


def _read(file: Path, *, is_given: bool = False) -> WrappingKey:
    try:
        with open_private(file, "wrapping key") as stream:
            key = wrapping_key_from_text(stream.read().decode("utf-8-sig"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"the wrapping key {file} cannot be read ({reason}): name its file") from error
    return WrappingKey(key.secret, key.previous, file, is_given)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the lock of the folder where the file is, behind links: it is about to become another one.

    Raises SettingsError for a pipe or anything else that is no file: the new key would be lost with it.
    """
    try:
        behind = destination(file, "wrapping key", is_private=True)
        if not behind.is_file():
            raise SettingsError(
                f"the wrapping key {file} is no file: make the new key where that one comes from"
            )
        descriptor = os.open(behind.parent, os.O_RDONLY)
    except OSError as error:
        raise SettingsError(f"the wrapping key {file} cannot be replaced: {error}") from error
    try:
        with locked(descriptor, waits=False):
            yield
    except BlockingIOError as error:
        raise SettingsError(f"another process is replacing {file}: wait until it has ended") from error
    finally:
        os.close(descriptor)


def _replace(file: Path, key: WrappingKey) -> None:
    """Write the file anew, and fsync it: root keys encrypted under its key must not outlive it."""
    try:
        replace_file(file, [wrapping_key_text(key).encode() + b"\n"], what="wrapping key")
    except OSError as error:
        raise SettingsError(f"the wrapping key {file} cannot be replaced: {error}") from error


def _write(draft: Path, text: str) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _make(file: Path) -> None:
    """Write a new key. Raises FileExistsError if another process was quicker."""
    # Containers that share a volume all have a process 1, so a process number could name two drafts.
    draft = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    _write(draft, new_wrapping_key_text())
    try:
        file.hardlink_to(draft)
    finally:
        draft.unlink()
