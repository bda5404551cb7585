"""What all suites share: the binary, the image, the fake API, and a rule against skipping."""

import os
import shutil
from pathlib import Path

import pytest

from connector import Connector
from fake import Fake
from network import SilentApi


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def fake_binary() -> Path:
    return Path(os.environ["FAKE_BINARY"])


@pytest.fixture(scope="session")
def connector() -> Connector:
    return Connector(Path(os.environ["CONNECTOR_BINARY"]))


@pytest.fixture(scope="session")
def image(pytestconfig) -> str:
    name = pytestconfig.getoption("--connector-image")
    assert name, "give the image with --connector-image"
    return name


@pytest.fixture(scope="session")
def fake(fake_binary):
    """One workspace for all tests that do not change it."""
    api = Fake(fake_binary)
    yield api
    api.close()


@pytest.fixture(scope="session")
def large_fake(fake_binary):
    """A workspace of many checkpoints. The last test of test_incremental_rules.py changes it."""
    api = Fake(fake_binary, seed=7, scale="large")
    yield api
    api.close()


@pytest.fixture(scope="session")
def docker_on_the_host(tmp_path_factory) -> str:
    """A folder for the front of PATH: `docker run` from there sees the fake API, which is on loopback."""
    program = tmp_path_factory.mktemp("programs") / "docker"
    program.write_text(f'#!/bin/sh\nshift\nexec {shutil.which("docker")} run --network=host "$@"\n')
    program.chmod(0o755)
    return str(program.parent)


@pytest.fixture(scope="session")
def config(fake) -> dict:
    return fake.config()


@pytest.fixture(scope="session")
def token_config(fake) -> dict:
    return fake.config(management_token=fake.management_token)


@pytest.fixture(scope="session")
def expired_token_config(fake) -> dict:
    return fake.config(management_token=fake.expired_token())


@pytest.fixture(scope="session")
def wrong_secret_config(fake) -> dict:
    return fake.config(app_secret="not-the-s3cret-of-this-app")


@pytest.fixture(scope="session")
def synced_twice(connector, fake_binary, tmp_path_factory):
    from warehouse import sync_twice  # slow to import, and not every test needs it

    api = Fake(fake_binary, seed=3)
    yield sync_twice(api, tmp_path_factory.mktemp("warehouse"), {"local_executable": connector.binary})
    api.close()


@pytest.fixture(scope="session")
def postgres():
    from postgres import Postgres

    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def synced_twice_into_postgres(connector, fake_binary, postgres, tmp_path_factory):
    from warehouse import sync_twice

    api = Fake(fake_binary, seed=3)
    start_with = {"local_executable": connector.binary}
    yield sync_twice(api, tmp_path_factory.mktemp("postgres"), start_with, postgres)
    api.close()


@pytest.fixture(scope="session")
def catalog(connector, config) -> dict:
    return connector.discover(config).only("CATALOG")


@pytest.fixture
def silent_api():
    api = SilentApi()
    yield api
    api.close()


def pytest_collection_modifyitems(config, items):
    """Drop the pairs of test and config that the CDK's suite would only skip.

    It pairs every test with every config of acceptance-test-config.yml, and skips where the file
    does not list the config under the test's section. Its comparison with the published spec
    needs the public connector registry, and nothing of this connector is published.
    """
    needs = {
        "test_docker_image_build_and_check": "check",
        "test_docker_image_build_and_config_matches_spec": "spec",
        "test_docker_image_build_and_discover": "discover",
        "test_docker_image_build_and_read": "read",
    }

    def runs(item) -> bool:
        if item.originalname == "test_docker_image_spec_backward_compatibility":
            return False
        command = needs.get(item.originalname)
        return command is None or item.callspec.params["scenario"].runs(command)

    dropped = [item for item in items if not runs(item)]
    items[:] = [item for item in items if runs(item)]
    config.hook.pytest_deselected(items=dropped)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that skips has not been run, and nobody would notice: it fails."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped itself: {call.excinfo.value}"
    return report
