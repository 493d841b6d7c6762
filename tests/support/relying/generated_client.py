"""A generated client's questions to the service, and the answers as JSON on standard output.

Runs in the generator's own environment, beside the package `generated`; its argument is JSON settings.
"""

import json
import ssl
import sys

from generated import AuthenticatedClient, Client
from generated.api.default import (
    delete_admin_clients_client_id,
    get_admin_clients_client_id,
    get_admin_revocations,
    get_resource_keys,
    get_resource_revocations,
    patch_admin_clients_client_id,
    post_admin_clients,
    post_admin_keys_rotate,
    post_admin_revocations,
    post_macaroon_inspect,
    post_macaroon_restrict,
    post_oauth2_introspect,
    post_oauth2_revoke,
    post_oauth2_token,
)
from generated.models import (
    ClientChange,
    ClientCredentialsForm,
    ClientCredentialsFormGrantType,
    ClientRegistration,
    GetAdminRevocationsKind,
    InspectRequest,
    IntrospectionForm,
    RestrictRequest,
    RestrictRequestBindType0,
    RevocationForm,
    RevocationRequest,
    RevocationRequestKind,
)

SETTINGS = json.loads(sys.argv[1])
CONTEXT = ssl.create_default_context(cafile=SETTINGS["ca"])
CONTEXT.load_cert_chain(SETTINGS["certificate"])
API, ISSUER = SETTINGS["audience"], SETTINGS["issuer"]
OPEN = Client(base_url=ISSUER, verify_ssl=CONTEXT)


def token(client_id: str, secret: str, resource: str) -> str:
    """Return a token by client credentials."""
    form = ClientCredentialsForm(
        grant_type=ClientCredentialsFormGrantType.CLIENT_CREDENTIALS,
        client_id=client_id,
        client_secret=secret,
        resource=resource,
    )
    return post_oauth2_token.sync(client=OPEN, body=form).access_token


def bound(client_id: str) -> AuthenticatedClient:
    """Return a client whose token for the service is bound to the certificate of its connection."""
    text = token(client_id, SETTINGS["secrets"][client_id], ISSUER)
    request = RestrictRequest(macaroon=text, bind=RestrictRequestBindType0.CONNECTION)
    child = post_macaroon_restrict.sync(client=OPEN, body=request).macaroon
    return AuthenticatedClient(base_url=ISSUER, token=child, verify_ssl=CONTEXT)


def main() -> dict[str, object]:
    """Ask every kind of question, and return what was answered."""
    operator, resource_server = bound("ops"), bound("invoices-api")
    made = post_admin_clients.sync(
        client=operator, body=ClientRegistration(client_id="orders", scope="read", audiences=[API])
    )
    granted = token("orders", made.client_secret, API)
    asking = IntrospectionForm(token=granted)
    asked = AuthenticatedClient(base_url=ISSUER, prefix="Basic", token=SETTINGS["basic"], verify_ssl=CONTEXT)
    before = post_oauth2_introspect.sync(client=asked, body=asking)
    inspected = post_macaroon_inspect.sync(client=OPEN, body=InspectRequest(macaroon=granted))
    refused = post_oauth2_revoke.sync(client=asked, body=RevocationForm(token=granted))
    changed = patch_admin_clients_client_id.sync(
        "orders", client=operator, body=ClientChange(audiences=[API, "https://other.example/"])
    )
    taken = post_admin_revocations.sync(
        client=operator, body=RevocationRequest(kind=RevocationRequestKind.CLIENT, value="orders")
    )
    listed = get_admin_revocations.sync(client=operator, kind=GetAdminRevocationsKind.CLIENT, after="0")
    feed = get_resource_revocations.sync(client=resource_server, after="0", wait=1)
    rotated = post_admin_keys_rotate.sync(client=operator)
    keys = get_resource_keys.sync(client=resource_server, audience=API + "/")
    gone = delete_admin_clients_client_id.sync_detailed("orders", client=operator)
    missing = get_admin_clients_client_id.sync("orders", client=operator)
    return {
        "made": made.client_id,
        "active": before.active,
        "audience": before.aud,
        "inspected": inspected.location,
        "refused": refused.error,
        "audiences": changed.audiences,
        "taken": [taken.kind.value, taken.value],
        "listed": [each.value for each in listed.revocations],
        "feed": [each[:2] for each in feed.decisions if each[0].value == "client"],
        "rotated": rotated.state.value,
        "keys": [each.additional_properties["audience"] for each in keys.audiences],
        "gone": int(gone.status_code),
        "missing": missing.error,
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout, default=str)
