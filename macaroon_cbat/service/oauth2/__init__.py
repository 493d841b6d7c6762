"""The OAuth 2.0 endpoints `/oauth2/*`: client authentication, grants, introspection and revocation."""
