"""People at the authorization endpoint: their login at an upstream provider, their consent, and the codes."""
