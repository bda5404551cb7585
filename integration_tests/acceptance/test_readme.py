"""README's "Use it": each of its two ways is followed line by line, against a fake workspace."""

import json
import os
import subprocess

import pytest

from connector import offered
from fake import Fake
from pages import blocks, section

IMAGE = "source-100ms:dev"
# As the page sets it.
START = "2025-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "README.md").read_text()


@pytest.fixture
def fake(fake_binary):
    """A workspace of its own, which the tests change."""
    api = Fake(fake_binary, seed=11)
    yield api
    api.close()


@pytest.fixture
def configure(page, fake) -> str:
    """The lines that write the configuration, with the credentials of the fake and where it is."""
    [lines] = blocks(section(page, "Use it"), "sh")
    config = fake.config()
    for key, given in [("app_access_key", "your app access key"), ("app_secret", "your app secret")]:
        assert given in lines
        lines = lines.replace(given, config["credentials"][key])
    start = f'"start_date": "{START}"'
    assert start in lines
    return lines.replace(start, f'"api_url": "{fake.url}",\n  {start}')


@pytest.fixture
def folder(tmp_path, connector):
    """A clone, as far as the commands can tell."""
    (tmp_path / "target/release").mkdir(parents=True)
    (tmp_path / "target/release/source-100ms").symlink_to(connector.binary)
    return tmp_path


def follow(lines: str, folder, path: str = "") -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=folder,
        env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_building(lines: str, build: str) -> str:
    """`run` has built both already; a registry for the base images cannot be reached in a test."""
    first, rest = lines.split("\n", 1)
    assert first == build
    return rest


def last_command(lines: str) -> str:
    return lines.replace("\\\n", " ").strip().splitlines()[-1]


def reads_on(configure: str, commands: str, folder, fake, path: str = "") -> None:
    before = fake.truth(START)
    follow(configure, folder)
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
    follow(commands, folder, path)
    first = {stream: (folder / f"rows/{stream}.jsonl").read_text() for stream in ("sessions", "rooms")}
    fake.advance()
    follow(last_command(commands), folder, path)
    after = fake.truth(START)
    for stream in ("sessions", "rooms"):
        lines = (folder / f"rows/{stream}.jsonl").read_text().splitlines()
        newest = {record["id"]: record for record in map(json.loads, lines)}
        assert newest == before[stream] | after[stream]
        assert len(newest) < len(lines) < len(before[stream]) + len(after[stream])
        # What was there stays, and what has changed is appended.
        assert (folder / f"rows/{stream}.jsonl").read_text().startswith(first[stream])


def test_the_way_with_cargo(page, configure, folder, fake):
    [commands] = blocks(section(page, "With cargo"), "sh")
    reads_on(configure, without_building(commands, "cargo build --release"), folder, fake)


def test_the_way_with_docker(page, configure, folder, fake, image, docker_on_the_host):
    assert image == IMAGE
    [commands] = blocks(section(page, "With Docker"), "sh")
    commands = without_building(commands, f"docker build --tag {IMAGE} .")
    reads_on(configure, commands, folder, fake, docker_on_the_host)


def test_the_commands_of_the_protocol(page, configure, folder, fake):
    [commands] = blocks(section(page, "On a platform"), "sh")
    assert '"status":"SUCCEEDED"' in follow(configure + commands, folder)
    messages = [json.loads(line) for line in (folder / "messages.jsonl").read_text().splitlines()]
    records = [message["record"]["stream"] for message in messages if message["type"] == "RECORD"]
    assert {stream: records.count(stream) for stream in set(records)} == {
        stream: len(found) for stream, found in offered(fake.truth(START)).items()
    }


def test_a_file_of_another_user_is_told_in_a_sentence(image, tmp_path, fake):
    """What happens without `--user`, as the page says."""
    (tmp_path / "config.json").write_text(json.dumps(fake.config()))
    (tmp_path / "config.json").chmod(0o600)
    tmp_path.chmod(0o755)
    check = ["docker", "run", "--rm", f"--volume={tmp_path}:/data", image, "check", "--config=/data/config.json"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert "you do not have permission to read it" in done.stdout


def test_the_first_screen_says_what_it_is_for_whom_and_how_to_try_it(page, root):
    first = "\n".join(page.splitlines()[:40])
    assert "It is for people who" in first and "cargo demo" in first
    [rust] = [line for line in (root / "Cargo.toml").read_text().splitlines() if line.startswith("rust-version")]
    assert f"Rust {rust.split(chr(34))[1]} or later and a C compiler" in first
