"""Approvals of transactions on each kind of database: of decisions at one instant one holds, for one use."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.bakery_caveats import encrypted, form_of
from tests.support.browsers import form_in


def test_an_approval_is_made_and_redeemed_once(on_each_database_with_people):
    """Of several decisions at one instant one holds; of several redemptions of an approval one succeeds."""
    browser, service = on_each_database_with_people
    browser.consent_page()
    key = service.open("/discharge/info", method="GET").json["PublicKey"]
    caveat = encrypted("user-approves user:alice Pay 7 EUR", key)
    links = service.open("/discharge", data=form_of(caveat)).json["Info"]["InteractionMethods"]
    form = form_in(browser.get(links["browser-window"]["VisitURL"]).text)
    fields = form.fields | {"decision": "approve"}
    secret = links["browser-window"]["WaitTokenURL"].partition("=")[2]
    token = form_of(caveat, token=secret, **{"token-kind": "approval"})
    with ThreadPoolExecutor(4) as pool:
        decided = pool.map(lambda _: browser.post(form.action, fields).status_code, range(4))
        assert sorted(decided) == [200, 409, 409, 409]
        redeemed = pool.map(lambda _: service.open("/discharge", data=token).status_code, range(4))
        assert sorted(redeemed) == [200, 403, 403, 403]
