"""Remedies for failures of the database, by the words of SQLite, PostgreSQL or PgBouncer."""

import re

_REMEDIES = {
    "replaced or moved away": "start the service again, or put the file back",
    "readonly database": "let the service's user write the file and its folder, and be that user",
    "disk I/O error": "make room on its disk, or see what the system's log says of that disk",
    "disk is full|No space left": "make room on its disk",
    "file is not a database": "name the right file or folder, or restore it from a backup",
    "statement pooling mode": "set pool_mode = transaction, or session, for this database in PgBouncer",
    "unsupported startup parameter": (
        "PgBouncer passes no startup parameters on, so leave it out of the URL "
        "(ALTER ROLE ... SET does the same on the server)"
    ),
    "no host takes writes.*the server is read-only": (
        "promote the standby that has every commit, or start the primary"
    ),
    "Connection refused": "start the server, or correct host and port in the URL",
    'database "[^"]*" does not exist': "make it on the server, or correct its name in the URL",
    'role "[^"]*" does not exist|authentication failed': "correct user and password in the URL",
}


_QUESTION = re.compile(r" Is the server running [^?]*\?")


def with_remedy(reason: str) -> str:
    """Return a reason followed by its remedy, in place of libpq's question. An unknown reason stays alone."""
    remedy = next((to_do for words, to_do in _REMEDIES.items() if re.search(words, reason)), None)
    return reason if remedy is None else f"{_QUESTION.sub('', reason)}: {remedy}"
