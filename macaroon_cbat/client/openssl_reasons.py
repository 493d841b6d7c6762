"""OpenSSL's reasons in plain words, for files with certificates and keys."""

import ssl

_WORDS = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate",
    "NO_START_LINE": "it holds none in PEM",
}


def openssl_reason(error: Exception) -> str:
    """Return why a file could not be loaded."""
    reason = getattr(error, "reason", None)
    return _WORDS.get(str(reason)) or str(reason or getattr(error, "strerror", None) or error)


def is_not_decrypted(error: Exception) -> bool:
    """Return True for a wrong passphrase, which OpenSSL reports without a reason or as a bad decryption."""
    return isinstance(error, ssl.SSLError) and error.reason in (None, "BAD_DECRYPT", "PEM_LIB")
