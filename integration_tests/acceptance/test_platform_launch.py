"""The image started as a platform starts it: by a shell, through pipes, with no rights at all."""

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from connector import configured, parse_output

LAUNCH = Path(__file__).with_name("launch.sh").read_text()
POD = [
    "--user=1000:1000",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--workdir=/source",
    "--env=DEPLOYMENT_MODE=OSS",
    "--env=LOG_LEVEL=INFO",
    "--env=USE_STREAM_CAPABLE_STATE=true",
    "--env=WORKER_JOB_ID=1",
]
READ = "read --config connectorConfig.json --catalog catalog.json --state inputState.json"


class Pod:
    """A container under the launch script, and whoever reads its two pipes."""

    def __init__(self, image: str, folder: Path, command: str, options: list[str], files: dict):
        self.folder = folder
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        self.pipes = {name: folder / name for name in ("stdout", "stderr")}
        for pipe in self.pipes.values():
            os.mkfifo(pipe)
        for path in [folder, *folder.iterdir()]:
            os.chown(path, 1000, 1000)
        self.outputs: dict[str, str] = {}
        self.readers = [threading.Thread(target=self._drain, args=(name,)) for name in self.pipes]
        for reader in self.readers:
            reader.start()
        self.process = subprocess.Popen(
            ["docker", "run", "--rm", "--network=host", *POD, *options, f"--volume={folder}:/source",
             "--entrypoint=sh", image, "-c", LAUNCH, "launch", command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _drain(self, name: str) -> None:
        self.outputs[name] = self.pipes[name].read_text()

    def finish(self) -> tuple[int, str]:
        """The exit code of the container, and what the launch script itself said."""
        said = "".join(self.process.communicate(timeout=120))
        for pipe, reader in zip(self.pipes.values(), self.readers, strict=True):
            self._let_go(pipe)
            reader.join(timeout=10)
        return self.process.returncode, said

    def _let_go(self, pipe: Path) -> None:
        """Somebody who opens a pipe for reading waits until somebody opens it for writing."""
        with contextlib.suppress(OSError):  # nobody waits any more
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    def exit_code(self) -> int:
        """What the platform takes for the exit code."""
        return int((self.folder / "exitCode.txt").read_text())

    def output(self, code: int):
        return parse_output(["launch"], code, self.outputs["stdout"], self.outputs["stderr"])


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
