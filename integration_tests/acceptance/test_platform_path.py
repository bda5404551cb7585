"""What a platform engineer does who follows docs/100ms.md: from the Dockerfile to a connection that runs."""

import os
import re
import shlex
import shutil
import subprocess

import jsonschema
import pytest

from connector import OFFERED, key_of, offered
from fake import Fake
from pages import blocks, section
from stand_in_airbyte import CLIENT, DEFINITION, WORKSPACE, AirbyteApi, Connection

STEP_1 = "Step 1: Add the connector to your platform"
# As the page says it, and as the engine of the tests has it: there is no registry to push to.
REGISTRY, LOCAL = "registry.example.com/", "registry.test/"
# Builds and pushes nothing: the image is built by then, from the same Dockerfile, and only gets another name.
DOCKER = """#!/bin/sh
case "$*" in
  "build --tag {image} .") test -f Dockerfile ;;
  "tag {image} "*) exec {docker} tag {image} "$3" ;;
  "push "*) exec {docker} image inspect "$2" >/dev/null ;;
  *) echo "unexpected: docker $*" >&2 && false ;;
esac
"""


@pytest.fixture(scope="module")
def api():
    airbyte = AirbyteApi(has_images=True)
    yield airbyte
    airbyte.close()


@pytest.fixture(scope="module")
def workspace(fake_binary):
    hms = Fake(fake_binary, seed=13)
    yield hms
    hms.close()


@pytest.fixture(scope="module")
def installed(root, api, image, tmp_path_factory) -> str:
    """Runs the two blocks of step 1 in the clone, and gives what they printed."""
    build, install = blocks(section((root / "docs/100ms.md").read_text(), STEP_1), "sh")
    programs = tmp_path_factory.mktemp("programs")
    (programs / "docker").write_text(DOCKER.format(docker=shutil.which("docker"), image=image))
    (programs / "docker").chmod(0o755)
    for told, real in [
        ("http://localhost:8000", api.url),
        (re.search(r"--workspace (\S+)", install)[1], WORKSPACE),
        ("client id of the application", CLIENT["client_id"]),
        ("client secret of the application", CLIENT["client_secret"]),
    ]:
        assert told in install, told
        install = install.replace(told, real)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", (build + install).replace(REGISTRY, LOCAL)],
        cwd=root,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def connection(installed, api, workspace, tmp_path_factory) -> Connection:
    """As somebody makes it who fills in the form and knows nothing of extra streams."""
    config = {name: value for name, value in workspace.config().items() if name != "extra_streams"}
    return Connection(api, config, tmp_path_factory.mktemp("pods"))


def test_airbyte_has_the_connector_and_its_form(installed, api, workspace):
    assert DEFINITION in installed
    form = api.specs[DEFINITION]["connectionSpecification"]
    jsonschema.Draft7Validator(form).validate(workspace.config())
    assert not jsonschema.Draft7Validator(form).is_valid({"start_date": "soon"})


def test_the_connection_runs_and_goes_on_from_its_state(connection, workspace):
    before = offered(workspace.truth())
    first = connection.sync()
    assert first == sum(map(len, before.values()))
    workspace.advance()
    second = connection.sync()
    after = offered(workspace.truth())
    assert 0 < second < first
    for stream, (_, cursor) in OFFERED.items():
        rows = {key_of(stream, record): record for record in after[stream].values()}
        kept = {key_of(stream, record): record for record in before[stream].values()} if cursor else {}
        if stream != "analytics_events":  # late events of old sessions come with the sweep of the next day
            assert connection.tables[stream] == kept | rows, stream
    known = {key_of("analytics_events", event) for event in before["analytics_events"].values()}
    assert connection.tables["analytics_events"].keys() > known


def test_a_sync_without_a_change_writes_nothing_but_the_streams_without_cursor(connection):
    incremental = [stream for stream, (_, cursor) in OFFERED.items() if cursor]
    assert connection.sync(only=incremental) == 0


def test_one_entity_for_each_flow(connection, api, workspace, tmp_path):
    """docs/runners.md, "Another platform": a flow reads a stream of its own, with a state of its own."""
    flow = Connection(api, connection.config, tmp_path)
    assert flow.sync(only=["rooms"]) == len(workspace.truth()["rooms"])
    assert [state["stream"]["stream_descriptor"]["name"] for state in flow.state] == ["rooms"]
    assert flow.sync(only=["rooms"]) == 0


def test_the_tag_is_the_one_that_was_pushed(root, api, installed):
    build, _ = blocks(section((root / "docs/100ms.md").read_text(), STEP_1), "sh")
    [_, _, _, built, _], [_, _, known, named], [_, _, pushed] = map(shlex.split, build.splitlines())
    assert built == known and named == pushed
    [definition] = api.definitions
    assert f"{definition['dockerRepository']}:{definition['dockerImageTag']}" == pushed.replace(REGISTRY, LOCAL)
