"""Whoever follows "Try it without a 100ms account" in docs/100ms.md succeeds: its lines are run."""

import re
import subprocess
import sys

import pytest

from connector import STREAMS, parse_output
from fake import Fake


@pytest.fixture(scope="module")
def blocks(root):
    page = (root / "docs/100ms.md").read_text()
    walkthrough = page.split("### Try it without a 100ms account")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", walkthrough, re.M | re.S)


@pytest.fixture(scope="module")
def transcript(blocks, root, connector, fake_binary, tmp_path_factory):
    """What each block printed, in a folder with all that the first one, which installs, leaves."""
    folder = tmp_path_factory.mktemp("walkthrough")
    (folder / "target/release").mkdir(parents=True)
    (folder / "target/release/source-100ms").symlink_to(connector.binary)
    (folder / "target/release/fake-100ms").symlink_to(fake_binary)
    (folder / "docs").symlink_to(root / "docs")
    (folder / "venv").symlink_to(sys.prefix)
    between = "echo '=== next block'\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", between.join(blocks[1:])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("=== next block\n")


def test_the_first_block_only_installs(blocks):
    assert [line.split()[0] for line in blocks[0].splitlines()] == ["cargo", "python3", "venv/bin/pip"]


def test_the_connector_answers(transcript):
    output = parse_output(["walkthrough"], 0, transcript[1], "")
    assert output.only("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    assert {stream["name"] for stream in output.only("CATALOG")["streams"]} == set(STREAMS)


def test_all_streams_arrive(transcript, fake_binary):
    same_workspace = Fake(fake_binary)
    expected = {stream: len(records) for stream, records in same_workspace.truth().items()}
    same_workspace.close()
    told = dict(
        line.split() for line in transcript[2].splitlines() if line.split()[:1] and line.split()[0] in STREAMS
    )
    assert {stream: int(count) for stream, count in told.items()} == expected


def test_the_question_is_answered(transcript):
    head, *days = transcript[3].splitlines()
    assert "session_minutes" in head and len(days) > 5
