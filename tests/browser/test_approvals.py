"""The page of approvals in a real browser, at the widths of a phone and of a desk."""

from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from macaroon_cbat.client import DischargeClient, discharger_key, require_discharge
from macaroon_cbat.errors import Refused
from tests.browser.conftest import Site
from tests.browser.test_pages import is_well_laid_out, problems_of, visitor
from tests.support.client_files import make_token

__all__ = ["visitor"]
LONG = "Pay 7 EUR to Example <b>Ltd</b> & Co., account " + "DE02120300000000202051" * 6


class Collecting(Thread):
    """A holder that collects a discharge, which waits for a person."""

    def __init__(self, site: Site, text: str) -> None:
        super().__init__()
        service = site.service
        key = discharger_key(service.issuer, ca=service.ca)
        self.token = require_discharge(make_token(), service.issuer, f"user-approves user:ada {text}", key)
        self.client = DischargeClient([service.issuer], ca=service.ca, visit=self._visit, patience=60)
        self.links: list[str] = []
        self.outcome: object = None

    def run(self) -> None:
        """Collect it."""
        try:
            self.outcome = self.client.collect(self.token)
        except Refused as refused:
            self.outcome = refused

    def _visit(self, url: str) -> None:
        self.links.append(url)

    def link(self) -> str:
        """Return the link for the person."""
        self.start()
        while not self.links:
            self.join(0.05)
        return self.links[0]


@pytest.mark.parametrize("decision", ["Approve", "Deny"])
def test_a_person_decides(site: Site, visitor: Page, decision: str):
    """A person signs in, reads every word, decides by keyboard, and the holder that waits learns it."""
    collecting, problems = Collecting(site, LONG), problems_of(visitor)
    visitor.goto(collecting.link())
    expect(visitor.locator(".transaction")).to_have_text(LONG)
    laid_out = [is_well_laid_out(visitor)]
    visitor.get_by_role("button", name=decision).press("Enter")
    expect(visitor.get_by_role("heading")).to_have_text({"Approve": "Approved", "Deny": "Denied"}[decision])
    expect(visitor.get_by_role("status")).to_contain_text(LONG)
    laid_out.append(is_well_laid_out(visitor))
    collecting.join(60)
    assert isinstance(collecting.outcome, tuple if decision == "Approve" else Refused)
    assert (laid_out, problems) == ([True] * 2, [])
