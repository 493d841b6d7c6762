"""Text in files that operators and other programs write: UTF-8, with or without a byte order mark."""

from macaroon_cbat.errors import SettingsError

LONGEST_SECRET = 8_000
"""Bytes of a file with one secret; a longer file is a wrong file."""
_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def text_of(content: bytes, name: str) -> str:
    """Return the text of a file, without the byte order mark that editors of Windows write.

    Raises SettingsError, which names the file, for UTF-16, as PowerShell's `>` writes it, and for other
    bytes.
    """
    if content.startswith(_UTF_16):
        raise SettingsError(f"{name} is UTF-16: save it as UTF-8 (PowerShell: Out-File -Encoding utf8)")
    try:
        return content.removeprefix(_MARK).decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not UTF-8 text: save it as UTF-8") from error


def secret_of(content: bytes, name: str) -> str:
    """Return the secret in a file, without white space around it: one line of visible ASCII and spaces.

    A client secret has the same alphabet (RFC 6749 A.2). Raises SettingsError, which names the file.
    """
    if len(content) > LONGEST_SECRET:
        raise SettingsError(f"{name} is longer than {LONGEST_SECRET} bytes: write the secret alone into it")
    secret = text_of(content, name).strip()
    if not secret:
        raise SettingsError(f"{name} is empty: write the secret into it")
    if "\n" in secret or "\r" in secret:
        raise SettingsError(f"{name} holds more than one line: write the secret alone into it")
    if not all(" " <= character <= "~" for character in secret):
        raise SettingsError(f"{name} holds characters beyond ASCII: write the secret alone into it")
    return secret
