"""Runs the connector as a platform does, and reads its output strictly."""

import json
import os
import subprocess
import tempfile
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import protocol

# name: (primary key, cursor), as the other suites know them, too.
TABLE = json.loads((Path(__file__).parents[1] / "fake-100ms/streams.json").read_text())
OFFERED = {s["name"]: (s["key"], s["cursor"]) for s in TABLE if not s.get("is_extra")}
# Those that a configuration has to ask for, as the suites' configurations do.
EXTRA = {s["name"]: (s["key"], s["cursor"]) for s in TABLE if s.get("is_extra")}
STREAMS = OFFERED | EXTRA
INCREMENTAL = [name for name, (_, cursor) in STREAMS.items() if cursor]


@dataclass
class Output:
    """What one run wrote, message by message."""

    command: list[str]
    code: int
    messages: list[dict]
    stdout: str
    stderr: str

    def of_type(self, kind: str) -> list[dict]:
        return [m[protocol.PAYLOAD[kind]] for m in self.messages if m["type"] == kind]

    def only(self, kind: str) -> dict:
        found = self.of_type(kind)
        assert len(found) == 1, f"{len(found)} messages of type {kind}\n{self}"
        return found[0]

    def records(self, stream: str) -> list[dict]:
        return [r["data"] for r in self.of_type("RECORD") if r["stream"] == stream]

    def states(self, stream: str) -> list[dict]:
        return [s for s in self.of_type("STATE") if s["stream"]["stream_descriptor"]["name"] == stream]

    def errors(self) -> list[dict]:
        return [t["error"] for t in self.of_type("TRACE") if t["type"] == "ERROR"]

    def statuses(self, stream: str) -> list[str]:
        statuses = [t["stream_status"] for t in self.of_type("TRACE") if t["type"] == "STREAM_STATUS"]
        return [s["status"] for s in statuses if s["stream_descriptor"]["name"] == stream]

    def final_state(self) -> list[dict]:
        """The newest STATE of every stream: what a platform gives to the next sync."""
        newest = {s["stream"]["stream_descriptor"]["name"]: s for s in self.of_type("STATE")}
        return list(newest.values())

    def __str__(self) -> str:
        counts = dict(Counter(m["type"] for m in self.messages))
        last = "\n".join(self.stdout.splitlines()[-20:])
        return (
            f"command: {' '.join(self.command)}\nexit code: {self.code}\nmessages: {counts}\n"
            f"last lines of stdout:\n{last}\nstderr:\n{self.stderr}"
        )


def parse_output(command: list[str], code: int, stdout: str, stderr: str) -> Output:
    lines = stdout.removesuffix("\n").split("\n") if stdout else []
    # Public suites cut the output with `splitlines`, which also cuts at U+0085 and its kin.
    assert stdout.splitlines() == lines, "a line holds a character that some readers cut at"
    return Output(command, code, [protocol.parse(line) for line in lines], stdout, stderr)


class Connector:
    """The connector as a binary, with the files of its commands in temporary folders."""

    def __init__(self, binary: Path):
        self.binary = binary

    def run(self, *arguments: str, timeout: float = 120, **environment: str) -> Output:
        command = [str(self.binary), *arguments]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            timeout=timeout,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
        )
        return parse_output(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    def run_with(self, command: str, timeout: float = 120, **files: object) -> Output:
        """Run the command with each of the files, given as JSON values, as `--name FILE`."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = [command]
            for name, content in files.items():
                path = Path(folder, f"{name}.json")
                path.write_text(json.dumps(content))
                arguments += [f"--{name}", str(path)]
            return self.run(*arguments, timeout=timeout)

    def spec(self) -> Output:
        return self.run("spec")

    def check(self, config: dict) -> Output:
        return self.run_with("check", config=config)

    def discover(self, config: dict) -> Output:
        return self.run_with("discover", config=config)

    def read(self, config: dict, catalog: dict, state: object = None) -> Output:
        files = {"config": config, "catalog": catalog}
        if state is not None:
            files["state"] = state
        return self.run_with("read", **files)


def configured(catalog: dict, sync_mode: str = "full_refresh", only: list[str] | None = None) -> dict:
    """A configured catalog of the discovered streams, incremental where they can be."""
    streams = [s for s in deepcopy(catalog["streams"]) if only is None or s["name"] in only]
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": sync_mode if sync_mode in stream["supported_sync_modes"] else "full_refresh",
                "destination_sync_mode": "append",
            }
            for stream in streams
        ]
    }


def offered(truth: dict) -> dict:
    """What of it somebody reads who asks for nothing extra."""
    return {stream: truth[stream] for stream in OFFERED}


def key_of(stream: str, record: dict) -> tuple:
    return tuple(record[field] for field in STREAMS[stream][0])
