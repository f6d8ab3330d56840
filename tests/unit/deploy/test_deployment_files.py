"""Deployment files are valid and name existing things."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from bulkport.dashboard.pages import prometheus
from commandapi.app import create_app
from commandapi.cli.main import app
from commandapi.metrics import POOL_METRICS, RequestMetrics
from commandapi.settings import Settings

_DEPLOY = Path(__file__).parents[3] / "deploy"

_OF_JOBS = set(re.findall(r'"(bulkport_[a-z_]+)"', Path(prometheus.__file__).read_text(encoding="utf-8")))


def _metrics() -> set[str]:
    api = create_app(Settings(database_url="postgresql://nowhere.invalid/x"))
    metrics: RequestMetrics = api.state.metrics
    families = {family.name for family in metrics.registry.collect()}
    # Those of a running server.
    of_pools = {name for name, _, _ in POOL_METRICS}
    return families | of_pools | _OF_JOBS | {"commandapi_loop_late_seconds", "commandapi_connections"}


def _named(expression: str) -> set[str]:
    found = re.findall(r"\b((?:http|commandapi|process|bulkport)_\w+?)(?:_total|_bucket)?(?=[\[{)]|$)", expression)
    return set(found)


def test_alerts_and_dashboard_use_existing_metrics() -> None:
    alerts = yaml.safe_load((_DEPLOY / "monitoring" / "alerts.yaml").read_text())
    panels = json.loads((_DEPLOY / "monitoring" / "dashboard.json").read_text())["panels"]
    expressions = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    named = set().union(*map(_named, expressions))
    assert named
    assert named <= _metrics()


@pytest.mark.parametrize("name", ["compose.yaml", "helm/commandapi/Chart.yaml", "helm/commandapi/values.yaml"])
def test_files_are_valid_yaml(name: str) -> None:
    assert yaml.safe_load((_DEPLOY / name).read_text())


def _files() -> list[Path]:
    return [path for path in _DEPLOY.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", _files(), ids=lambda path: path.name)
def test_files_use_existing_settings(path: Path) -> None:
    named = set(re.findall(r"COMMANDAPI_([A-Z_]+[A-Z])", path.read_text(encoding="utf-8")))
    assert named <= {name.upper() for name in Settings.model_fields}


def _commands() -> list[list[str]]:
    """Arguments with which the files start the program."""
    services = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())["services"].values()
    found = [service["command"] for service in services if "command" in service]
    image = (_DEPLOY / "Dockerfile").read_text()
    found += [json.loads(line) for line in re.findall(r"^CMD (\[.*\])$", image, re.MULTILINE)]
    for unit in (_DEPLOY / "systemd").iterdir():
        found += [
            line.split() for line in re.findall(r"^ExecStart=\S*/commandapi (.*)$", unit.read_text(), re.MULTILINE)
        ]
    for template in (_DEPLOY / "helm").rglob("*.yaml"):
        found += [yaml.safe_load(line) for line in re.findall(r"args: (\[.*\])$", template.read_text(), re.MULTILINE)]
    return found


def test_files_run_existing_commands() -> None:
    assert len(_commands()) >= 8
    for name, *arguments in _commands():
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        if name == "db":
            assert arguments[0] in command.commands
        else:
            command.make_context(name, arguments)  # refuses options that there are not


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = []
    for unit in (_DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/commandapi/bin/commandapi", "/bin/true")
        units.append(tmp_path / unit.name.replace("@", "@1"))
        units[-1].write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    own = [line for line in done.stderr.splitlines() if "commandapi" in line]
    assert own == []


def _without_templates(text: str) -> str:
    """A Helm template as YAML with words in place of its expressions."""
    lines = [line for line in text.splitlines() if not re.fullmatch(r"\s*{{-?.*}}\s*", line)]
    return re.sub(r"{{.*?}}", "word", "\n".join(lines))


@pytest.mark.parametrize("path", sorted((_DEPLOY / "helm").rglob("templates/*.yaml")), ids=lambda path: path.name)
def test_templates_render_to_manifests(path: Path) -> None:
    for manifest in yaml.safe_load_all(_without_templates(path.read_text())):
        assert {"apiVersion", "kind", "metadata"} <= manifest.keys()
    values = yaml.safe_load((_DEPLOY / "helm" / "commandapi" / "values.yaml").read_text())
    for name in re.findall(r"\.Values\.([\w.]+)", path.read_text()):
        found = values
        for part in name.split("."):
            found = found[part]
