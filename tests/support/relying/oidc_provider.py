"""npm's oidc-provider as the place where people log in, and a browser that fills in its pages."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from tests.support.browsers import form_in
from tests.support.node import NODE, NODE_MODULES
from tests.support.ports import free_port
from tests.support.proxies.processes import process as proxy_process
from tests.support.proxies.processes import wait_for_port
from tests.support.tls_servers import SECONDS

CLIENT, SECRET = "macaroon-service", "Zk7-Yq2wT_9x+Vb4/m"


@contextmanager
def oidc_provider(folder: Path, callback: str) -> Iterator[str]:
    """Run the provider with the certificate in this folder until the block ends; yield its issuer."""
    port = free_port()
    issuer = f"https://localhost:{port}"
    settings = {"folder": str(folder), "port": port, "issuer": issuer, "modules": str(NODE_MODULES)}
    settings |= {"client_id": CLIENT, "client_secret": SECRET, "redirect_uri": callback}
    script = Path(__file__).with_suffix(".mjs")
    command = [NODE, str(script), json.dumps(settings)]
    with proxy_process(command, folder) as running:
        wait_for_port(port, running, folder)
        yield issuer


class WalkingBrowser:
    """A browser over real TLS, which follows redirects and sends the forms of every page."""

    def __init__(self, ca: Path) -> None:
        """Trust this CA."""
        context = ssl.create_default_context(cafile=str(ca))
        self._client = httpx.Client(verify=context, timeout=SECONDS, headers={"Accept": "text/html"})

    def walk(self, url: str, callback: str, person: str) -> dict[str, str]:
        """Log in as this person, press the first button of each page, and return the answer of the last."""
        answer = self._client.get(url)
        for _ in range(20):
            left = answer.headers.get("Refresh", "").removeprefix("0; url=")
            where = urljoin(str(answer.url), answer.headers.get("Location", left))
            if where.startswith(callback):
                return dict(parse_qsl(urlsplit(where).query))
            answer = self._client.get(where) if answer.is_redirect else self._submit(answer, person)
        raise AssertionError(answer.text)

    def finish(self, url: str, person: str) -> str:
        """Log in as this person, press the first button of each page, and return the page without a form."""
        answer = self._client.get(url)
        for _ in range(20):
            if answer.is_redirect:
                answer = self._client.get(urljoin(str(answer.url), answer.headers["Location"]))
            elif "<form" in answer.text:
                answer = self._submit(answer, person)
            else:
                return answer.text
        raise AssertionError(answer.text)

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def _submit(self, page: httpx.Response, person: str) -> httpx.Response:
        """Send the form of a page, as its own origin."""
        assert page.status_code == 200, page.text
        form = form_in(page.text)
        button = re.search(r'<button[^>]*name="(\w+)" value="(\w+)"', page.text)
        pressed = {} if button is None else {button[1]: button[2]}
        fields = form.fields | pressed
        fields |= {name: person for name in ("login", "password") if name in fields}
        place = urljoin(str(page.url), form.action)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(place))
        return self._client.post(place, data=fields, headers={"Origin": origin})
