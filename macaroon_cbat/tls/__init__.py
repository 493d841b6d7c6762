"""The embedded TLS server."""
