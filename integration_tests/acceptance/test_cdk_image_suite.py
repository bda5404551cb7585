"""The CDK's own suite for connector images, with the configs of acceptance-test-config.yml."""

import json
import os
from pathlib import Path

import pytest
from airbyte_cdk.test.standard_tests.docker_base import DockerConnectorTestSuite
from airbyte_cdk.utils import docker as cdk_docker

# The suite knows a connector by the name of its folder, which a checkout need not have, and reads
# configs with credentials from secrets/. So `run` makes it such a folder.
CONNECTOR_FOLDER = Path(os.environ["CONNECTOR_FOLDER"])


CONFIGS = ["config", "token_config", "wrong_secret_config", "expired_token_config"]


@pytest.fixture(scope="module", autouse=True)
def secrets(request):
    """Configs that fit the API of this run, as a secret store would hand them out."""
    for name in CONFIGS:
        content = json.dumps(request.getfixturevalue(name))
        (CONNECTOR_FOLDER / f"secrets/{name}.json").write_text(content)


@pytest.fixture(autouse=True)
def host_network(monkeypatch):
    """The suite cannot be told a network, and the fake API listens on the host's loopback."""
    run = cdk_docker.run_docker_command

    def run_on_host(command, **options):
        assert command[:2] == ["docker", "run"], command
        return run(["docker", "run", "--network=host", *command[2:]], **options)

    monkeypatch.setattr(cdk_docker, "run_docker_command", run_on_host)


class TestImage(DockerConnectorTestSuite):
    @classmethod
    def get_connector_root_dir(cls) -> Path:
        return CONNECTOR_FOLDER
