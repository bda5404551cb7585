"""The image started as a platform starts it: by a shell, through pipes, with no rights at all."""

import pytest

from connector import configured
from pod import READ, Pod


@pytest.fixture
def launch(image, tmp_path):
    def start(command: str, *options: str, **files: object) -> Pod:
        named = {f"{name}.json": content for name, content in files.items()}
        return Pod(image, tmp_path, command, list(options), named)

    return start


@pytest.mark.parametrize("options", [[], ["--read-only"]], ids=["writable_root", "read_only_root"])
def test_read(launch, fake, config, catalog, options):
    pod = launch(READ, *options, connectorConfig=config, catalog=configured(catalog), inputState=[])
    assert pod.finish() == (0, "")
    assert pod.exit_code() == 0
    output = pod.output(0)
    assert output.stderr == ""
    for stream, expected in fake.truth().items():
        assert len(output.records(stream)) == len(expected)


@pytest.mark.parametrize(("command", "answer"), [("check", "CONNECTION_STATUS"), ("discover", "CATALOG")])
def test_check_and_discover(launch, config, command, answer):
    flags = "--config connectionConfiguration.json"
    pod = launch(f"{command} {flags}", "--read-only", connectionConfiguration=config)
    assert pod.finish() == (0, "")
    assert pod.exit_code() == 0
    pod.output(0).only(answer)


def test_a_failure_is_in_the_exit_code_file(launch, config, catalog):
    bad = config | {"start_date": "long ago"}
    pod = launch(READ, connectorConfig=bad, catalog=configured(catalog), inputState=[])
    assert pod.finish() == (1, "")
    assert pod.exit_code() == 1
    assert pod.output(1).errors()[0]["failure_type"] == "config_error"


def test_without_an_entrypoint_variable_nothing_starts(launch):
    code, said = launch(READ, "--env=AIRBYTE_ENTRYPOINT=").finish()
    assert code == 127 and "AIRBYTE_ENTRYPOINT" in said


def test_termination_leaves_143(launch, silent_api, config, catalog):
    """The pod is told to end by a file. No signal reaches the connector; its container just goes."""
    waiting = config | {"api_url": silent_api.url}
    pod = launch(READ, connectorConfig=waiting, catalog=configured(catalog), inputState=[])
    silent_api.wait_for_a_request()
    (pod.folder / "TERMINATED").touch()
    code, _ = pod.finish()
    assert (code, pod.exit_code()) == (143, 143)
    assert not pod.output(143).of_type("RECORD")
