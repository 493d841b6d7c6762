"""The grants of the token endpoint (RFC 6749 1.3), one module each: its form, and what it decides."""
