"""Alert rules and the dashboard: Prometheus' own tool reads them, and their metrics exist."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from tests.support.deploy_config import written
from tests.support.guide import FOLDER

METRIC = re.compile(r"macaroon_cbat_[a-z_]+")
ALERTS = Path(__file__).with_name("alerts.yml")


def promtool(*arguments: object) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def known_metrics() -> set[str]:
    """Return the metrics of the guide's table, which is generated from the code."""
    names = set(METRIC.findall((FOLDER / "metrics.md").read_text()))
    return names | {name + part for name in names for part in ("_bucket", "_count", "_sum")}


def test_prometheus_reads_the_files(tmp_path: Path):
    """The configuration scrapes both services, and its rules are well-formed."""
    written("prometheus", tmp_path, "--target", "10.0.0.1:9100", "--target", "[::1]:9100")
    promtool("check", "config", tmp_path / "prometheus.yml")
    members = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert members["scrape_configs"][0]["static_configs"][0]["targets"] == ["10.0.0.1:9100", "[::1]:9100"]


def test_each_alert_fires_and_is_silent(tmp_path: Path):
    """Each alert fires at the series that it is about, and at no other."""
    written("prometheus", tmp_path, "--target", "10.0.0.1:9100")
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    promtool("test", "rules", tmp_path / "alerts.yml")
    rules = yaml.safe_load((tmp_path / "macaroon-cbat.rules.yml").read_text())["groups"][0]["rules"]
    tried = {
        one["alertname"]
        for group in yaml.safe_load(ALERTS.read_text())["tests"]
        for one in group["alert_rule_test"]
        if one.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in rules}


def test_alerts_name_metrics_that_exist(tmp_path: Path):
    """Every metric of a rule is one that the product shows."""
    written("prometheus", tmp_path, "--target", "10.0.0.1:9100")
    named = set(METRIC.findall((tmp_path / "macaroon-cbat.rules.yml").read_text()))
    assert named - known_metrics() == set()


def test_the_dashboard_asks_for_metrics_that_exist(tmp_path: Path):
    """Every expression of the dashboard is well-formed, and names metrics that the product shows."""
    file = written("grafana", tmp_path) / "macaroon-cbat.dashboard.json"
    panels = json.loads(file.read_text())["panels"]
    expressions = [
        line["expr"].replace("$__rate_interval", "5m") for one in panels for line in one["targets"]
    ]
    rules = [{"record": f"line:{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "lines.yml").write_text(yaml.safe_dump({"groups": [{"name": "lines", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "lines.yml")
    assert set(METRIC.findall("".join(expressions))) - known_metrics() == set()


def test_graphs_do_not_overlap(tmp_path: Path):
    """Every graph of the dashboard has a place of its own."""
    panels = json.loads((written("grafana", tmp_path) / "macaroon-cbat.dashboard.json").read_text())["panels"]
    places = {(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}
    assert len(places) == len(panels)
