"""platform/install-on-airbyte asks Airbyte for what its API documents, and says mistakes in sentences."""

import json
import os
import subprocess

import pytest
import yaml

from stand_in_airbyte import CLIENT, DEFINITION, WORKSPACE, AirbyteApi, Refusal

IMAGE = "registry.test/team/source-100ms:0.2.0"


@pytest.fixture
def api():
    airbyte = AirbyteApi()
    yield airbyte
    airbyte.close()


@pytest.fixture
def install(root, api):
    """Runs it, with the credentials of the API unless told otherwise."""

    def run(*more: str, airbyte: str = api.url, image: str = IMAGE, workspace: str = WORKSPACE, **client: str):
        client = {f"AIRBYTE_{name.upper()}": value for name, value in (CLIENT | client).items()}
        flags = [f"--airbyte={airbyte}", f"--workspace={workspace}", f"--image={image}"]
        done = subprocess.run(
            [root / "platform/install-on-airbyte", *flags, *more],
            env=os.environ | client,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said and CLIENT["client_secret"] not in said, said
        return done

    return run


def test_it_asks_for_a_token_and_then_for_the_connector(install, api, root):
    done = install()
    assert done.returncode == 0, done.stderr
    assert DEFINITION in done.stdout and "Sources, New source, Custom, 100ms (custom)" in done.stdout
    assert api.asked() == [
        "applications/token",
        "source_definitions/list_for_workspace",
        "source_definitions/create_custom",
    ]
    [definition] = api.definitions
    assert definition["dockerRepository"] == "registry.test/team/source-100ms"
    assert definition["dockerImageTag"] == "0.2.0"
    assert definition["icon"] == (root / "icon.svg").read_text()


def test_it_gives_what_the_metadata_says(install, api, root):
    install("--name=100ms of ours")
    [definition] = api.definitions
    metadata = yaml.safe_load((root / "metadata.yaml").read_text())["data"]
    assert definition["resourceRequirements"] == metadata["resourceRequirements"]
    assert definition["documentationUrl"] == metadata["documentationUrl"]
    assert definition["name"] == "100ms of ours"


def test_a_second_time_it_changes_the_tag(install, api):
    install()
    done = install(image=IMAGE.replace("0.2.0", "0.2.1"))
    assert done.returncode == 0, done.stderr
    assert "Its tag was 0.2.0 and is 0.2.1 now" in done.stdout
    assert [one["dockerImageTag"] for one in api.definitions] == ["0.2.1"]
    assert api.requests[-1][0] == "source_definitions/update"


def test_the_connector_of_airbyte_itself_is_left_alone(install, api):
    own = {"name": "100ms", "dockerRepository": "airbyte/source-100ms", "dockerImageTag": "1", "custom": False}
    api.definitions.append(own | {"sourceDefinitionId": "41bf83df-0000-4000-8000-000000000000"})
    install()
    assert "source_definitions/update" not in api.asked()
    assert [one["dockerRepository"] for one in api.definitions] == ["airbyte/source-100ms", IMAGE.split(":")[0]]


def test_a_dry_run_shows_the_request_and_sends_nothing(install, api):
    done = install("--dry-run", client_id="", client_secret="")
    assert done.returncode == 0, done.stderr
    first, body = done.stdout.split("\n", 1)
    assert first == f"POST {api.url}/api/v1/source_definitions/create_custom"
    assert not api.requests
    install()
    # The server takes the definition out of the body.
    assert json.loads(body)["sourceDefinition"].items() <= api.definitions[0].items()
    assert json.loads(body)["workspaceId"] == WORKSPACE


def test_help_explains_every_flag(root):
    done = subprocess.run([root / "platform/install-on-airbyte", "--help"], capture_output=True, text=True, check=True)
    for told in ("--airbyte", "--workspace", "--image", "--name", "--documentation", "--dry-run", "AIRBYTE_CLIENT_SECRET"):
        assert told in done.stdout


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"image": "registry.test/source-100ms"}, "has no tag"),
        ({"image": "registry.test:5000/source-100ms"}, "has no tag"),
        ({"image": f"registry.test/source-100ms@sha256:{'0' * 64}"}, "takes a tag, not a digest"),
        ({"image": "registry.example.com/source-100ms:0.2.0"}, "replace it in --image"),
        ({"airbyte": "airbyte.test"}, "is not an address"),
        ({"airbyte": "https://me:secret@airbyte.test"}, "leave user and password out"),
        ({"workspace": "default"}, "is not the id of a workspace"),
        ({"workspace": WORKSPACE.replace("0", "1")}, "may not add connectors to it"),
        ({"client_id": ""}, "set AIRBYTE_CLIENT_ID in the environment"),
        ({"client_secret": "another-s3cret"}, "those of an application of this Airbyte"),
        ({"airbyte": "http://127.0.0.1:1"}, "cannot be reached: "),
    ],
)
def test_a_mistake_is_one_sentence(install, wrong, told):
    done = install(**wrong)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert not done.stdout


def test_an_image_that_cannot_be_started_is_said_to_be_the_cause(install, api):
    api.refuse["source_definitions/create_custom"] = Refusal(422, "the spec could not be read")
    done = install()
    assert done.returncode == 1
    assert "422" in done.stderr and "the spec could not be read" in done.stderr and "can pull --image" in done.stderr


def test_another_server_is_not_taken_for_airbyte(install, fake):
    done = install(airbyte=fake.url)
    assert done.returncode == 1 and "applications/token" in done.stderr, done.stderr
