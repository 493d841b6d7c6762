"""Thousands of followers of the revocations: their cost, the arrival of news, their return after a restart.

The followers are processes of this same machine and take more of it than the service. So the cost of the
service is its own processor time, and news have arrived when the kernel has them; both are ceilings still.
"""

import json
import multiprocessing
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median

import requests
from service import databases, end
from timing import Extent, Measure
from tls_load import Load, answers

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.stores import ClientMetadata, Stores, open_stores
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.tls_servers import make_client

CLIENTS, AUDIENCES, CERTIFICATES, SPARE_FILES = 200, 20, 4, 1024
LIFETIME = 12 * 3600
PATIENCE = 300.0
STORM, STORM_SECONDS = 20, 2.0
SECRET = "the secret of this benchmark"
MINTING = "grant_type=client_credentials&scope=read"


def measures(extent: Extent) -> list[Measure]:
    """Return what followers cost, how news reach them, and how they come back."""
    _refuse_few_files(extent)
    with (
        multiprocessing.get_context("fork").Pool(1) as pool,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        with _fleet(folder / "sqlite", "SQLite", extent, services=1) as fleet:
            lines = [*_idle(fleet), *_arrivals(fleet, "1 process, SQLite"), *_coming_back(fleet, pool)]
        with _fleet(folder / "postgresql", "PostgreSQL", extent, services=extent.services) as fleet:
            lines += _arrivals(fleet, f"{extent.services} processes, PostgreSQL")
        return [Measure("followers", extent.followers, ""), *lines]


def _refuse_few_files(extent: Extent) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = extent.followers + SPARE_FILES
    if hard not in (resource.RLIM_INFINITY, -1) and hard < needed:
        raise SystemExit(
            f"the limit of open files is {hard}, which is too low for {extent.followers} followers: raise it "
            f"with ulimit -Hn {needed}, or ask for fewer with --followers {max(1, hard - SPARE_FILES)}"
        )


@dataclass
class Fleet:
    """Services on one database, and the processes of their followers."""

    folder: Path
    environment: Mapping[str, str]
    ports: list[int]
    extent: Extent
    services: list["subprocess.Popen[str]"] = field(default_factory=list)
    loads: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """The issuer of all services: the URL of the first."""
        return f"https://localhost:{self.ports[0]}"

    def start_service(self, port: int) -> None:
        """Start a service, and return when it answers."""
        command = [sys.executable, "-m", "macaroon_cbat", "serve", "--data", str(self.folder)]
        command += ["--port", str(port), "--issuer", self.issuer]
        command += ["--connections", str(self.extent.followers + SPARE_FILES // 2)]
        self.services.append(_started(command, self.folder / f"log-{port}", self.environment))
        _line(self.services[-1])

    def asked(self, question: str) -> list[object]:
        """Return the answer of each process of followers."""
        for load in self.loads:
            assert load.stdin is not None
            load.stdin.write(question + "\n")
            load.stdin.flush()
        return [json.loads(_line(load)) for load in self.loads]

    def total(self, name: str) -> int:
        """Return a number of all followers together."""
        return sum(each[name] for each in self.asked("numbers"))  # type: ignore[index,misc]

    def wait_until_current(self) -> None:
        """Return when all followers know everything; raise RuntimeError if that takes too long."""
        deadline = time.monotonic() + PATIENCE
        while (current := self.total("current")) < self.extent.followers:
            if time.monotonic() > deadline:
                told = f"{self.asked('numbers')} {self.logs()}"
                raise RuntimeError(f"{current} of {self.extent.followers} followers are current: {told}")
            time.sleep(0.1)

    def logs(self) -> str:
        """Return the end of what services and followers have written."""
        return "".join(file.read_text()[-2000:] for file in sorted(self.folder.glob("log-*")))

    def operator(self) -> requests.Session:
        """Return a session of the operator, who revokes."""
        files = {"ca": self.folder / "ca.pem"}
        tokens = TokenClient(
            issuer=self.issuer,
            client_id="ops",
            client_secret=SECRET,
            resource=self.issuer,
            timeout=60,
            **files,
        )
        auth = MacaroonAuth(tokens, ClientCertificate(self.folder / "ops.pem"))
        return certificate_session(auth, self.folder / "ca.pem")


@contextmanager
def _fleet(folder: Path, database: str, extent: Extent, *, services: int) -> Iterator[Fleet]:
    """Run services and followers until the block ends; it begins when all followers are current."""
    folder.mkdir()
    environment = databases(folder)[database]
    fleet = Fleet(folder, environment, [free_port() for _ in range(services)], extent)
    clients = _prepare(fleet)
    with ExitStack() as stack:
        stack.callback(lambda: [end(each) for each in (*fleet.loads, *fleet.services)])
        for port in fleet.ports:
            fleet.start_service(port)
        part = -(-extent.followers // extent.follower_processes)
        for first in range(0, extent.followers, part):
            count = min(part, extent.followers - first)
            wanted = {"ports": fleet.ports, "ca": str(folder / "ca.pem"), "clients": clients}
            asked = json.dumps({**wanted, "followers": count, "first": first})
            command = [sys.executable, str(Path(__file__).with_name("follower_load.py")), asked]
            fleet.loads.append(_started(command, folder / f"log-followers-{first}", {}))
        fleet.wait_until_current()
        yield fleet


def _prepare(fleet: Fleet) -> list[tuple[str, str]]:
    """Register everybody; return the certificate and the bound token of each client that follows."""
    folder, now = fleet.folder, EpochSeconds(int(time.time()))
    development_certificates(folder)
    make_client(folder, "ops")
    files = [make_client(folder, f"certificate-{number}").file for number in range(CERTIFICATES)]
    settings = settings_from_environment({**os.environ, **fleet.environment}, data=folder)
    stores = open_stores(settings.database_url, settings.wrapping_key, now)
    try:
        return _registered(fleet.issuer, stores, files, now)
    finally:
        stores.database.close()


def _registered(issuer: str, stores: Stores, files: list[Path], now: EpochSeconds) -> list[tuple[str, str]]:
    """Register the clients that follow, an operator, and one that gets tokens."""
    thumbprints = [_thumbprint(file) for file in files]
    stores.clients.add("ops", ClientMetadata(scope="admin"), secret=SECRET, now=now)
    stores.clients.add("load", ClientMetadata(scope="read"), secret=SECRET, now=now)
    root, following = stores.root_keys.current(), []
    for number in range(CLIENTS):
        name, served = f"follower-{number}", f"https://api-{number % AUDIENCES}.example"
        metadata = ClientMetadata(scope="revocations", serves=(served,))
        stores.clients.add(name, metadata, secret=SECRET, now=now)
        grant = Grant(
            client_id=name, sub=name, aud=issuer, scope="revocations", kid=root.kid,
            iat=now, exp=now + LIFETIME, jti=f"{number:022}",
        )  # fmt: skip
        bound = confirmation(thumbprints[number % len(files)])
        token = mint(audience_key(root, issuer), issuer, grant, [bound])
        following.append((str(files[number % len(files)]), token))
    return following


def _thumbprint(file: Path) -> Thumbprint:
    pem = file.read_text()
    begin, last = pem.index("-----BEGIN CERTIFICATE"), "-----END CERTIFICATE-----"
    return thumbprint_of(DerCertificate(ssl.PEM_cert_to_DER_cert(pem[begin : pem.index(last) + len(last)])))


def _idle(fleet: Fleet) -> list[Measure]:
    """Return what a process costs while all wait and nothing happens."""
    process = fleet.services[0].pid
    time.sleep(fleet.extent.idle_seconds / 4)  # they have begun together
    before, begun = _processor_seconds(process), time.monotonic()
    pages, asked = fleet.total("pages"), fleet.total("requests")
    time.sleep(fleet.extent.idle_seconds)
    spent, elapsed = _processor_seconds(process) - before, time.monotonic() - begun
    return [
        Measure("idle: processor time of the service", spent / elapsed, "cores"),
        Measure("idle: memory of the service", _megabytes(process), "MB"),
        Measure("idle: requests that followers send", (fleet.total("requests") - asked) / elapsed, "/s"),
        Measure("idle: pages that followers read", (fleet.total("pages") - pages) / elapsed, "/s"),
    ]


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _arrivals(fleet: Fleet, title: str) -> list[Measure]:
    """Return how long after its acknowledgement a revocation takes to all followers."""
    with fleet.operator() as session:
        rounds = range(fleet.extent.arrivals)
        alone = [each for _ in rounds for each in _revoked(fleet, session, 1, 0.0)]
        pairs = [_revoked(fleet, session, 2, 2.0) for _ in rounds]
        storms = [_revoked(fleet, session, STORM, STORM_SECONDS / STORM) for _ in rounds]
    return [
        *_spread(f"{title}: arrival of a revocation", alone),
        *_spread(f"{title}: arrival of another 2 s later", [pair[1] for pair in pairs]),
        *_spread(f"{title}: arrival, {STORM} in {STORM_SECONDS:.0f} s", list(chain.from_iterable(storms))),
    ]


def _spread(title: str, arrivals: list[list[float]]) -> list[Measure]:
    everything = sorted(chain.from_iterable(arrivals))
    return [
        Measure(f"{title}, median", median(everything), "s"),
        Measure(f"{title}, 99 of 100 followers", everything[int(len(everything) * 0.99)], "s"),
        Measure(f"{title}, last follower, median", median(map(max, arrivals)), "s"),
        Measure(f"{title}, last follower, worst of {len(arrivals)}", everything[-1], "s"),
    ]


def _revoked(fleet: Fleet, session: requests.Session, count: int, pause: float) -> list[list[float]]:
    """Revoke so many times, at this pace; return how long each takes from its answer to each follower."""
    told: dict[str, float] = {}
    for number in range(count):
        name, begun = f"news-{time.monotonic_ns()}-{number}", time.monotonic()
        wanted = {"kind": "client", "value": name, "force": True}
        done = session.post(f"{fleet.issuer}/admin/revocations", json=wanted, timeout=60)
        told[name] = time.time()
        if done.status_code != 201:
            raise RuntimeError(f"it was not revoked: {done.status_code} {done.text}")
        if number < count - 1:
            time.sleep(max(0.0, pause - (time.monotonic() - begun)))
    time.sleep(fleet.extent.arrival_pause)  # asking takes the processors from those who hear
    return [_arrival(fleet, name, at) for name, at in told.items()]


def _arrival(fleet: Fleet, name: str, told: float) -> list[float]:
    """Return the seconds from the answer to the revoker until each follower knows this name."""
    deadline, times = time.monotonic() + PATIENCE, list[float]()
    while len(times) < fleet.extent.followers:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(times)} of {fleet.extent.followers} heard of {name}: {fleet.logs()}")
        times = [at for each in fleet.asked(f"arrivals {name}") for at in each]  # type: ignore[attr-defined]
        time.sleep(0.0 if len(times) == fleet.extent.followers else 0.1)
    return [max(0.0, at - told) for at in times]


def _coming_back(fleet: Fleet, pool: Pool) -> list[Measure]:
    """Return how soon all are current after a restart, and how fast tokens are minted meanwhile."""
    seconds = fleet.extent.seconds
    usual = max(_minted_per_second(fleet, pool, seconds) for _ in range(fleet.extent.load_rounds))
    service = fleet.services.pop()
    service.kill()
    service.wait()
    while fleet.total("current"):
        time.sleep(0.05)
    fleet.start_service(fleet.ports[0])
    begun, meanwhile = time.monotonic(), []
    while fleet.total("current") < fleet.extent.followers and time.monotonic() < begun + PATIENCE:
        meanwhile.append(_minted_per_second(fleet, pool, min(1.0, seconds)))
    fleet.wait_until_current()
    elapsed = time.monotonic() - begun
    rate = sum(meanwhile) / len(meanwhile)
    return [
        Measure("restart: all followers are current after", elapsed, "s"),
        Measure("restart: tokens minted before", usual, "/s"),
        Measure("restart: tokens minted meanwhile", rate, "/s"),
        Measure("restart: minting meanwhile, part of before", rate / usual, ""),
    ]


def _minted_per_second(fleet: Fleet, pool: Pool, seconds: float) -> float:
    credentials = b64encode(f"load:{SECRET.replace(' ', '+')}".encode()).decode()
    request = (
        f"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(MINTING)}\r\n\r\n{MINTING}"
    )
    file = fleet.folder / "ops.pem"
    load = Load(fleet.ports[0], fleet.folder / "ca.pem", file, request.encode(), connections=8)
    return pool.apply(answers, (load, seconds)).requests_per_second


def _started(command: list[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    with log.open("ab") as words:
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=words, text=True, env={**os.environ, **environment}
        )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"ended early: {process.args}")
    return line
