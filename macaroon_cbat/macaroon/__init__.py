"""The macaroon, pure: claims, caveats, keys, wire format, signature and verification."""
