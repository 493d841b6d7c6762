"""User codes (RFC 8628 6.1): short enough to type, and random enough for the minutes that they live.

Eight letters of twenty are 34 bits. A person may try ten wrong ones while such a code lives: the chance to
find one of a thousand live codes so is 1 in 2.5 million.
"""

import os

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Consonants: no word is spelled by chance, and none looks like a digit."""

_LENGTH, _GROUP = 8, 4
_UNBIASED = 256 - 256 % len(ALPHABET)
_LONGEST_INPUT = 40


def new_user_code() -> str:
    """Return a random code, `WDJB-MJHT`; every letter is equally likely."""
    letters = ""
    while len(letters) < _LENGTH:
        letters += "".join(ALPHABET[byte % len(ALPHABET)] for byte in os.urandom(16) if byte < _UNBIASED)
    return _grouped(letters[:_LENGTH])


def read_user_code(text: str) -> str | None:
    """Return the code that a person typed, in any case and with any separators; None for anything else."""
    if len(text) > _LONGEST_INPUT:
        return None
    letters = "".join(character for character in text.upper() if character.isalnum())
    if len(letters) != _LENGTH or not set(letters) <= set(ALPHABET):
        return None
    return _grouped(letters)


def _grouped(letters: str) -> str:
    return f"{letters[:_GROUP]}-{letters[_GROUP:]}"
