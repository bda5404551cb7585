"""Whoever follows "Try it without a 100ms account" in docs/100ms.md succeeds: its lines are run."""

import json
import os
import re
import subprocess
import sys

import pytest

from connector import OFFERED, offered, parse_output
from fake import Fake
from pages import blocks as blocks_of
from pages import section


# The fake account of the page begins at the time of its start, which a second one would not share.
NOW = "2026-03-03T15:20:00Z"


@pytest.fixture(scope="module")
def blocks(root):
    page = (root / "docs/100ms.md").read_text()
    return blocks_of(section(page, "Try it without a 100ms account"), "sh")


@pytest.fixture(scope="module")
def transcript(blocks, root, connector, fake_binary, tmp_path_factory):
    """What each block printed, in a folder with all that the first one, which installs, leaves.

    The blocks run where there is no network but loopback, and without the variables that the suites set.
    """
    folder = tmp_path_factory.mktemp("walkthrough")
    (folder / "target/release").mkdir(parents=True)
    (folder / "target/release/source-100ms").symlink_to(connector.binary)
    program = folder / "target/release/fake-100ms"
    program.write_text(f'#!/bin/sh\nexec {fake_binary} --now {NOW} "$@"\n')
    program.chmod(0o755)
    (folder / "venv").symlink_to(sys.prefix)
    between = "echo '=== next block'\n"
    unset = {name: value for name, value in os.environ.items() if name not in ("AIRBYTE_OFFLINE_MODE", "DO_NOT_TRACK")}
    done = subprocess.run(
        ["unshare", "--net", "bash", "-euo", "pipefail", "-c", "busybox ip link set lo up\n" + between.join(blocks[1:])],
        cwd=folder,
        env=unset,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("=== next block\n")


@pytest.fixture(scope="module")
def truths(fake_binary):
    """What the same workspace holds, before and after an hour."""
    same_workspace = Fake(fake_binary, scale="company", now=NOW)
    before = offered(same_workspace.truth())
    same_workspace.advance()
    after = offered(same_workspace.truth())
    same_workspace.close()
    return before, after


def told(text: str) -> dict[str, int]:
    """The numbers of records that `read.py` prints."""
    pairs = [line.rsplit(" ", 1) for line in text.splitlines() if " " in line]
    return {name: int(count) for name, count in pairs if name in (*OFFERED, "records read:")}


def test_the_first_block_only_installs(blocks):
    assert [line.split()[0] for line in blocks[0].splitlines()] == ["cargo", "python3", "venv/bin/pip"]


def test_the_connector_answers(transcript):
    output = parse_output(["walkthrough"], 0, transcript[1], "")
    assert output.only("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    assert {stream["name"] for stream in output.only("CATALOG")["streams"]} == set(OFFERED)


def test_all_streams_arrive(transcript, truths):
    expected = {stream: len(records) for stream, records in truths[0].items()}
    assert told(transcript[2]) == expected | {"records read:": sum(expected.values())}


def test_the_second_sync_reads_what_changed(transcript, truths):
    before, after = truths
    # PyAirbyte merges, so what is gone stays.
    expected = {stream: len(before[stream].keys() | after[stream].keys()) for stream in OFFERED}
    second = told(transcript[3])
    read = second.pop("records read:")
    assert second == expected
    assert 0 < read < sum(map(len, before.values())) / 2


def test_the_question_is_answered(transcript):
    assert "session_minutes" in transcript[4]
    days = re.findall(r"\b2026-0[23]-\d\d\b", transcript[4])
    assert len(days) == 14 and days[0] == NOW[:10]


def test_by_hand_the_second_command_appends_what_changed(root, connector, fake_binary, tmp_path):
    """The lines of "By hand": an hour goes by between the two reads."""
    [lines] = blocks_of(section((root / "docs/100ms.md").read_text(), "By hand"), "sh")
    *first, second = lines.splitlines()
    assert second == first[-1]
    workspace = Fake(fake_binary, seed=12)
    (tmp_path / "config.json").write_text(json.dumps(workspace.config()))
    (tmp_path / "source-100ms").symlink_to(connector.binary)
    files = [tmp_path / f"data/{name}.jsonl" for name in ("sessions", "rooms")]
    read = []
    for commands in (first, [second]):
        subprocess.run(
            ["bash", "-euc", "\n".join(commands)],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            check=True,
            timeout=120,
        )
        read.append([file.read_text() for file in files])
        workspace.advance()
    workspace.close()
    for before, after in zip(*read, strict=True):
        assert after.startswith(before) and len(before) < len(after) < 2 * len(before)
