"""The client certificate of a request, pure: sources, formats of proxies, thumbprints."""
