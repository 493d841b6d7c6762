"""The limits on what one client, or one address, may try at the service's endpoints."""
