"""Every message of every command is one the protocol knows, field by field.

All suites read the connector's output through `protocol.parse`, so this holds for whatever they
run; here it is asked of each command once, also of the ways in which each can fail.
"""

import json

import pytest

import protocol
from connector import configured

UNKNOWN_FIELDS = [
    '{"type":"LOG","log":{"level":"INFO","message":"m"},"extra":1}',
    '{"type":"LOG","log":{"level":"INFO","message":"m","extra":1}}',
    '{"type":"RECORD","record":{"stream":"s","data":{},"emitted_at":1,"extra":1}}',
    '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s","extra":1}}}}',
    '{"type":"CATALOG","catalog":{"streams":[{"name":"s","json_schema":{},"supported_sync_modes":[],"extra":1}]}}',
    '{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1.0,"error":{"message":"m","extra":1}}}',
]
OTHER_FAULTS = [
    '{"type":"LOG","log":{"level":"NOTICE","message":"m"}}',
    '{"type":"RECORD","record":{"stream":"s","data":{},"emitted_at":1.0}}',
    '{"type":"RECORD","record":{"stream":"s","data":[],"emitted_at":1}}',
    '{"type":"RECORD","record":{"stream":"s","data":{"n":NaN},"emitted_at":1}}',
    '{"type":"RECORD","record":{"stream":"s","data":{"a":1,"a":2},"emitted_at":1}}',
    '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"succeeded"}}',
    '{"type":"SPEC","spec":{"connectionSpecification":{},"documentationUrl":"nowhere"}}',
    '{"type":"SPEC","log":{"level":"INFO","message":"m"}}',
    "Starting sync …",
]


@pytest.mark.parametrize("line", UNKNOWN_FIELDS + OTHER_FAULTS)
def test_the_strict_reader_sees_faults(line):
    with pytest.raises(AssertionError):
        protocol.parse(line)


@pytest.mark.parametrize("verbose", [[], ["--debug"]], ids=["normal", "debug"])
def test_spec(connector, verbose):
    output = connector.run("spec", *verbose)
    assert output.code == 0 and output.stderr == ""
    # The platform looks for the spec among the first lines only.
    assert "SPEC" in [m["type"] for m in output.messages[:10]]
    output.only("SPEC")


@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_debug_only_adds_log_messages(connector, config, catalog, tmp_path, command):
    """Where the reference connector prints a message type that no protocol knows."""
    output = run_in(tmp_path, connector, command, config, configured(catalog), "--debug")
    assert output.code == 0 and output.stderr == "", output


@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_a_normal_run_is_silent_on_stderr(connector, config, catalog, tmp_path, command):
    output = run_in(tmp_path, connector, command, config, configured(catalog))
    assert output.code == 0 and output.stderr == "", output
    assert not output.of_type("CONTROL")


def run_in(folder, connector, command, config, catalog, *more):
    files = {"config": config} | ({"catalog": catalog} if command == "read" else {})
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(json.dumps(content))  # clients use any extension
    return connector.run(command, *more, *(f"--{name}={folder / name}.txt" for name in files))


@pytest.mark.parametrize("command", ["check", "discover", "read"])
@pytest.mark.parametrize("fault", ["missing", "not_json", "wrong_type", "unknown_choice"])
def test_a_bad_config(connector, catalog, command, fault, tmp_path):
    path = tmp_path / "config.json"
    if fault != "missing":
        path.write_text({"not_json": "{", "wrong_type": "[]", "unknown_choice": "{}"}[fault])
    (tmp_path / "catalog.json").write_text('{"streams": []}')
    catalog_flag = ["--catalog", str(tmp_path / "catalog.json")] if command == "read" else []
    output = connector.run(command, "--config", str(path), *catalog_flag)
    if command == "check":
        assert output.only("CONNECTION_STATUS")["status"] == "FAILED" and output.code == 0
    else:
        assert output.errors()[0]["failure_type"] == "config_error" and output.code == 1


def test_a_stream_that_does_not_exist(connector, config, catalog):
    """It is an error, but the other streams are read."""
    chosen = configured(catalog, only=["templates", "rooms"])
    chosen["streams"][0]["stream"]["name"] = "attendees"
    output = connector.read(config, chosen)
    read = chosen["streams"][1]["stream"]["name"]
    assert output.code == 1 and "attendees" in output.errors()[0]["message"]
    assert output.records(read) and output.statuses(read)[-1] == "COMPLETE"


@pytest.mark.parametrize("arguments", [[], ["write"], ["spec", "--fast"], ["read"], ["discover", "--config"]])
def test_a_bad_command_line_exits_with_an_error(connector, arguments):
    assert connector.run(*arguments).code != 0
