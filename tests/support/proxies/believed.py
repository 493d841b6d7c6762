"""The headers that servers and frameworks believe, as an attacker lists them: not the list under test."""

BELIEVED = (
    *(
        "Script-Name",
        "Path-Info",
        "X-Script-Name",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
    ),
    *(
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Forwarded-Request-URI",
        "X-Envoy-Original-Path",
    ),
    *(
        "X-Forwarded-Uri",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-Method",
    ),
    *("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Auth-Request-User", "X-WebAuth-User"),
    *(
        "X-Forwarded-Method",
        "X-MS-Client-Principal",
        "X-Goog-Authenticated-User-Email",
        "X-Amzn-Oidc-Identity",
    ),
    *("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server"),
    *("X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-SSL", "X-Url-Scheme"),
    *("X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Original-For"),
    *("X-Original-Host", "X-Host", "Front-End-Https", "Remote-Addr", "CF-Connecting-IP", "Fly-Client-IP"),
    *("Proxy", "Principalclient", "Proxysecret", "Client-Cert", "Client-Cert-Chain", "Clientcertverify"),
    *("X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info"),
    *("SSL-Client-Cert", "SSL-Client-Verify", "SSL-Client-S-DN", "X-SSL-Client-Cert", "X-SSL-Client-Verify"),
    *("X-SSL-Client-DN", "X-SSL-CERT", "X-Client-Cert", "X-ARR-ClientCert", "X-ARR-SSL", "CF-Cert-Presented"),
    *("X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "CF-Client-Cert-SHA256"),
    *("CloudFront-Viewer-Cert-Sha256", "X-Sendfile-Type", "X-Accel-Mapping", "X-Middleware-Subrequest"),
    *("Daphne-Root-Path", "X-Vhm-Root", "X-Vhm-Host", "X-Forwarded-Script-Name", "X-Waws-Unencoded-URL"),
    *("WL-Proxy-Client-Cert", "MS-ASPNETCORE-CLIENTCERT", "iv-user", "SM-User", "CGI-Authorization"),
    *("Cf-Access-Authenticated-User-Email", "X-Authentik-Username", "X-Pomerium-Claim-Email", "X-Userinfo"),
    *("X-Forwarded-Trusted-Proxy", "X-Forwarded-Https", "X-Https", "Proxy-auth-cert", "X-Proxied-Https"),
    *("X-ProxyContextPath", "X-Traversal-Path", "X-Astro-Path", "X-Invoke-Path", "Tailscale-User-Login"),
    "X-Acme-User",  # a deployer's own: the stand names it with --remove-header
)
PARTS = tuple(BELIEVED[start : start + 40] for start in range(0, len(BELIEVED), 40))
"""The same, in portions: Envoy takes 100 headers in one request, and would refuse them all at once."""

HONEST = (
    *("Accept", "Accept-Language", "Content-Type", "Cookie", "If-None-Match", "If-Modified-Since", "Origin"),
    *("Range", "Referer", "User-Agent", "Sec-Fetch-Mode", "X-Requested-With", "X-Csrf-Token", "X-Api-Key"),
    *("Idempotency-Key", "Prefer", "Traceparent", "X-Correlation-Id", "X-Tenant-Id", "X-Sveltekit-Pathname"),
    *("Depth", "Destination", "Overwrite", "Lock-Token", "Signature-Input", "Content-Digest"),
)
"""The headers that clients send to the server itself, and that must arrive."""

CREDENTIALS = ("Authorization", "Macaroons", "X-Discharge-Macaroon", "DPoP")
"""The headers that clients send to the judge of their tokens: a guarded server, or the gateway before it."""

_FAMILIES = (
    *("X-Forwarded-Whatever", "X-Pomerium-Claim-Department", "Shib-Whatever", "SSL-Whatever", "SM-Whatever"),
    *("X-Forwarded-Cl", "X-Forwarded-Pro", "X-Original-Whatever", "Principalother"),
)
FAMILIES = dict.fromkeys(("haproxy", "envoy", "caddy", "apache"), _FAMILIES)
"""Names of a family that no list has, by the proxies that remove by prefix."""

ODD = tuple(f"Remote{sign}User" for sign in "!#$%&'*+^`|~") + tuple(f"{sign}WSRU" for sign in "!#$%&'*+^`|~")
"""Names of letters that HTTP allows and no honest client writes; WebSphere believes $WSRU."""
