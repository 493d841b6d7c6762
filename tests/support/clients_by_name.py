"""Clients that are known by one name in their certificate (RFC 8705 2.1)."""

DN, DNS, URI = "CN=billing,O=Example", "billing.example", "spiffe://example/billing"
IP, EMAIL = "2001:db8::7", "billing@Mail.example"
CLIENTS = {
    "by-dn": {"tls_client_auth_subject_dn": DN},
    "by-dns": {"tls_client_auth_san_dns": DNS},
    "by-uri": {"tls_client_auth_san_uri": URI},
    "by-ip": {"tls_client_auth_san_ip": IP},
    "by-email": {"tls_client_auth_san_email": EMAIL},
}
