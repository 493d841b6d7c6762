"""The vectors of five kinds of issuers: what they sign for the right caller, and for others."""

from tests.support.foreign_tokens import ec_key
from tests.vectors.federation.cases import (
    DOMAIN,
    ENTRA,
    GITHUB,
    KEYCLOAK,
    KUBERNETES,
    NOW,
    OTHER_TENANT,
    SPIFFE,
    TENANT,
    UUID,
    Case,
)

_FORK = "repo:octo-org/evil:ref:refs/heads/x:environment:production"
_PRODUCTION = {"claims": {"sub": "repo:octo-org/*:environment:production"}}
_V1 = f"https://sts.windows.net/{TENANT}/"
_OTHER_V2 = f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"

SHAPED: dict[str, Case] = {
    "keycloak": KEYCLOAK.case("an access token of a realm, for a person with the role"),
    "keycloak-named-by-user": KEYCLOAK.case(
        "the subject is another claim", trust={"subject": "preferred_username"}, subject="trust:alice"
    ),
    "keycloak-other-audience": KEYCLOAK.case("a token for other clients alone", "audience", aud=["account"]),
    "keycloak-other-client": KEYCLOAK.case("a token that another client got", "claim azp", azp="game"),
    "keycloak-id-token": KEYCLOAK.case("an ID token, which is no access token", "claim typ", typ="ID"),
    "keycloak-without-role": KEYCLOAK.case(
        "a person without the role", "claim /realm_access/roles", realm_access={"roles": ["offline_access"]}
    ),
    "keycloak-without-roles": KEYCLOAK.case(
        "a token without the object", "claim /realm_access/roles", without=("realm_access",)
    ),
    "keycloak-other-realm": KEYCLOAK.case(
        "a token of another realm on the same host", "not trusted", iss="https://keycloak.example/realms/evil"
    ),
    "keycloak-mixed-up": KEYCLOAK.case(
        "the issuer of one realm, the key of another", "signature", key=ec_key(5), header={"alg": "ES256"}
    ),
    "keycloak-logout-token": KEYCLOAK.case(
        "a logout token, which the same key signs",
        "another kind",
        events={"http://schemas.openid.net/event/backchannel-logout": {}},
    ),
    "entra-id": ENTRA.case("an application token, version 2.0"),
    "entra-id-version-1": ENTRA.case(
        "version 1.0, whose issuer ends with a slash", trust={"issuer": _V1}, iss=_V1, ver="1.0"
    ),
    "entra-id-slash-less": ENTRA.case(
        "an issuer is compared letter by letter", "not trusted", trust={"issuer": _V1[:-1]}, iss=_V1
    ),
    "entra-id-other-tenant": ENTRA.case(
        "another tenant, whose tokens the same keys sign", "not trusted", iss=_OTHER_V2, tid=OTHER_TENANT
    ),
    "entra-id-without-role": ENTRA.case("an application without the role", "claim roles", roles=["Other"]),
    "entra-id-user": ENTRA.case("the token of a person", "claim idtyp", without=("idtyp",)),
    "kubernetes": KUBERNETES.case("a projected token of a service account"),
    "kubernetes-other-account": KUBERNETES.case(
        "another service account of the namespace",
        "claim /kubernetes.io/serviceaccount/name",
        **{"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "default", "uid": UUID}}},
    ),
    "kubernetes-other-namespace": KUBERNETES.case(
        "an account of the same name in another namespace",
        "claim /kubernetes.io/namespace",
        **{"kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": "deployer", "uid": UUID}}},
    ),
    "kubernetes-for-the-api-server": KUBERNETES.case(
        "the token that every pod has", "audience", aud=["https://kubernetes.default.svc.cluster.local"]
    ),
    "kubernetes-legacy": KUBERNETES.case(
        "a token of a secret, which never ends",
        "no exp",
        without=("exp", "aud", "iat", "nbf", "kubernetes.io"),
        **{"kubernetes.io/serviceaccount/namespace": "prod"},
    ),
    "kubernetes-flat-claims": KUBERNETES.case(
        "a name with slashes is no path into an object",
        "claim /kubernetes.io/namespace",
        without=("kubernetes.io",),
        **{"kubernetes.io/namespace": "prod", "/kubernetes.io/namespace": "prod"},
    ),
    "github-actions": GITHUB.case("a push to the branch"),
    "github-actions-pull-request": GITHUB.case(
        "a pull request from anywhere", "claim sub", sub="repo:octo-org/octo-repo:pull_request"
    ),
    "github-actions-look-alike": GITHUB.case(
        "a repository with a longer name", "claim sub", sub="repo:octo-org/octo-repo-2:ref:refs/heads/main"
    ),
    "github-actions-renamed-owner": GITHUB.case(
        "an owner who took the name of one that is gone",
        "claim repository_owner_id",
        repository_owner_id="66",
    ),
    "github-actions-pattern": GITHUB.case(
        "any repository of the owner", trust=_PRODUCTION, sub="repo:octo-org/shop:environment:production"
    ),
    "github-actions-pattern-across": GITHUB.case(
        "a branch that is named like an environment", "claim sub", trust=_PRODUCTION, sub=_FORK
    ),
    "github-actions-pattern-empty": GITHUB.case(
        "nothing in the place of the star",
        "claim sub",
        trust=_PRODUCTION,
        sub="repo:octo-org/:environment:production",
    ),
    "spiffe": SPIFFE.case("a JWT-SVID, which has no issuer"),
    "spiffe-typ-jose": SPIFFE.case("the other type that the specification allows", header={"typ": "JOSE"}),
    "spiffe-other-workload": SPIFFE.case(
        "another workload of the trust domain", "claim sub", sub=f"{DOMAIN}/ns/web/sa/api"
    ),
    "spiffe-deeper-path": SPIFFE.case(
        "a star spans no segment", "claim sub", sub=f"{DOMAIN}/ns/pay/sa/api/admin"
    ),
    "spiffe-other-domain": SPIFFE.case(
        "the identity of another trust domain", "not trusted", sub="spiffe://evil.example/ns/pay/sa/api"
    ),
    "spiffe-longer-domain": SPIFFE.case(
        "a domain that begins alike", "not trusted", sub="spiffe://prod.example.evil/ns/pay/sa/api"
    ),
    "spiffe-foreign-subject": SPIFFE.case(
        "the trust domain as issuer, with the identity of another",
        "another trust domain",
        iss=DOMAIN,
        sub="spiffe://evil.example/ns/pay/sa/api",
    ),
    "spiffe-x509-key": SPIFFE.case(
        "a key of the bundle that signs certificates",
        "not among the keys",
        header={"kid": "x509-1"},
        key=ec_key(9),
    ),
    "spiffe-expired": SPIFFE.case("an expired JWT-SVID", "expired", exp=NOW),
    "spiffe-other-audience": SPIFFE.case("an SVID for a peer", "audience", aud=["spiffe://prod.example/db"]),
}
