"""Runs a container of the image as a platform's pod does: under a launch script, through pipes, without rights."""

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

from connector import parse_output

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
