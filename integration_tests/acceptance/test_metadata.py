"""metadata.yaml, icon.svg and acceptance-test-config.yml are what the catalogue accepts."""

import json
import re
import subprocess
import sys
from importlib import resources
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from connector import STREAMS


@pytest.fixture(scope="module")
def metadata(root):
    # YAML reads a date as a date, JSON knows only strings.
    return json.loads(json.dumps(yaml.safe_load((root / "metadata.yaml").read_text()), default=str))


def published_schema() -> dict:
    """The metadata model. Its inner `$id`s go, because its references count from the root."""
    package = resources.files("airbyte_connector_models")
    schema = json.loads((package / "metadata/v0/ConnectorMetadataDefinitionV0.json").read_text())
    return {"$id": schema["$id"]} | without_ids(schema)


def without_ids(node):
    if isinstance(node, dict):
        return {key: without_ids(value) for key, value in node.items() if key != "$id"}
    return [without_ids(item) for item in node] if isinstance(node, list) else node


def test_metadata_matches_the_published_model(metadata):
    jsonschema.Draft7Validator(published_schema(), format_checker=jsonschema.FormatChecker()).validate(
        metadata
    )


def test_metadata_follows_the_catalogues_own_rules(metadata):
    data = metadata["data"]
    assert all(re.fullmatch(r"[a-z]+:[a-z0-9-]+", tag) for tag in data["tags"])
    assert [tag for tag in data["tags"] if tag.startswith("language:")] == ["language:rust"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", data["dockerImageTag"])
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", data["definitionId"]
    )
    assert data["allowedHosts"]["hosts"] == ["api.100ms.live"]
    assert set(data["suggestedStreams"]["streams"]) <= set(STREAMS)


def test_metadata_has_an_identity_of_its_own(metadata):
    # With the id or the image of Airbyte's own 100ms connector, a platform would take one for the other.
    assert not metadata["data"]["definitionId"].startswith("41bf83df-")
    # A name in a public registry that nobody owns could be taken by anybody.
    assert metadata["data"]["dockerRepository"] == "registry.example.com/source-100ms"
    assert "airbyte" not in metadata["data"]["documentationUrl"]


def test_a_local_image_has_one_name_everywhere(root):
    """No registry would be asked for it."""
    for path in ["README.md", "Dockerfile", "acceptance-test-config.yml", "integration_tests/acceptance/run"]:
        named = re.findall(r"[\w./-]+(?=:(?:dev|\d+\.\d+\.\d+)\b)", (root / path).read_text())
        ours = {name for name in named if name.endswith("source-100ms")}
        assert ours == {"source-100ms"}, (path, ours)
    for path in ["docs/100ms.md", "docs/runners.md"]:
        named = re.findall(r"[\w./-]*source-100ms(?=:(?:dev|\d+\.\d+\.\d+)\b)", (root / path).read_text())
        # In a cluster and on a platform: the page says that the host must be replaced.
        assert set(named) == {"source-100ms", "registry.example.com/source-100ms"}, (path, named)


def test_versions_agree(root, metadata):
    version = metadata["data"]["dockerImageTag"]
    assert f'\nversion = "{version}"\n' in (root / "Cargo.toml").read_text()
    assert f"LABEL io.airbyte.version={version}\n" in (root / "Dockerfile").read_text()
    assert f"\n| {version} " in (root / "docs/100ms.md").read_text()
    assert f"\n## {version}" in (root / "CHANGELOG.md").read_text()


def test_workflows_follow_githubs_schema(root):
    workflows = sorted(str(path) for path in (root / ".github/workflows").glob("*.yml"))
    assert len(workflows) == 2
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    for path in workflows:
        steps = [step for job in yaml.safe_load(open(path))["jobs"].values() for step in job["steps"]]
        [command] = [step["run"] for step in steps if "run" in step]
        assert ".ci/run" in command or command.startswith("./release "), command


def test_the_icon_is_a_square_svg(root, metadata):
    svg = ElementTree.parse(root / metadata["data"]["icon"]).getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert width == height and svg.get("width") == svg.get("height")


def test_every_acceptance_section_is_there_and_its_files_exist(root):
    config = yaml.safe_load((root / "acceptance-test-config.yml").read_text())
    sections = ["spec", "connection", "discovery", "basic_read", "full_refresh", "incremental"]
    assert list(config["acceptance_tests"]) == sections
    for section in sections:
        for path in paths_in(config["acceptance_tests"][section]["tests"]):
            # Configs with credentials are made for each run, as the catalogue does it.
            assert path.startswith("secrets/") or (root / path).is_file(), path


def paths_in(node) -> list[str]:
    if isinstance(node, dict):
        own = [v for k, v in node.items() if k.endswith("_path") and isinstance(v, str)]
        return own + [p for v in node.values() for p in paths_in(v)]
    return [p for item in node for p in paths_in(item)] if isinstance(node, list) else []
