"""Dynamic registration of clients (RFC 7591, RFC 7592), within the bounds of an initial access macaroon."""
