"""Feeds of a resource server: audience keys and revocations, fetched from the service."""
