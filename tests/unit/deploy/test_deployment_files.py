"""Files for deployments can be read, and name what exists."""

import json
import re
from pathlib import Path

import pytest
import yaml

from bulkport.dashboard.pages import prometheus
from commandapi.app import create_app
from commandapi.metrics import POOL_METRICS, RequestMetrics
from commandapi.settings import Settings

_DEPLOY = Path(__file__).parents[3] / "deploy"

_OF_JOBS = set(re.findall(r'"(bulkport_[a-z_]+)"', Path(prometheus.__file__).read_text(encoding="utf-8")))


def _metrics() -> set[str]:
    app = create_app(Settings(database_url="postgresql://nowhere.invalid/x"))
    metrics: RequestMetrics = app.state.metrics
    families = {family.name for family in metrics.registry.collect()}
    # Those of a running server.
    of_pools = {name for name, _, _ in POOL_METRICS}
    return families | of_pools | _OF_JOBS | {"commandapi_loop_late_seconds", "commandapi_connections"}


def _named(expression: str) -> set[str]:
    found = re.findall(r"\b((?:http|commandapi|process|bulkport)_\w+?)(?:_total|_bucket)?(?=[\[{)]|$)", expression)
    return set(found)


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    alerts = yaml.safe_load((_DEPLOY / "monitoring" / "alerts.yaml").read_text())
    panels = json.loads((_DEPLOY / "monitoring" / "dashboard.json").read_text())["panels"]
    expressions = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    named = set().union(*map(_named, expressions))
    assert named
    assert named <= _metrics()


@pytest.mark.parametrize("name", ["compose.yaml", "helm/commandapi/Chart.yaml", "helm/commandapi/values.yaml"])
def test_files_are_yaml(name: str) -> None:
    assert yaml.safe_load((_DEPLOY / name).read_text())


def test_compose_gives_the_services_settings_that_exist() -> None:
    services = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())["services"]
    for service in services.values():
        for name in service.get("environment", {}):
            if name.startswith("COMMANDAPI_"):
                assert name.removeprefix("COMMANDAPI_").lower() in Settings.model_fields
