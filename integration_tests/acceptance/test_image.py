"""The image itself: who it runs as, what it says of itself, how it stops, what it can reach."""

import json
import os
import subprocess
import time

import pytest
import yaml

from connector import STREAMS, configured, parse_output
from container import docker, run_image, run_shell
from network import NameServer, Proxy, TlsFront

ENTRYPOINT = ["/airbyte/source-100ms"]
OWN_FOLDERS = ["/tmp", "/config", "/secrets", "/source"]
# What the launch script of the platform uses, and `tee`, which the older acceptance suite runs.
UTILITIES = ["sh", "sleep", "mv", "cat", "touch", "kill", "tee"]


@pytest.fixture(scope="module")
def image_config(image):
    return json.loads(docker("image", "inspect", image).stdout)[0]["Config"]


@pytest.fixture
def files(tmp_path):
    """Puts JSON files into a folder that every user of a container can read."""
    tmp_path.chmod(0o755)

    def write(**contents: object) -> str:
        for name, content in contents.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return f"--volume={tmp_path}:/data:ro"

    return write


@pytest.fixture
def tls(fake, tmp_path):
    front = TlsFront(fake.url, tmp_path)
    yield front
    front.close()


@pytest.fixture
def names():
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def behind_tls(files, tls, names, config, tmp_path) -> tuple:
    """Options for a container that finds the API by name, over https."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {names.ADDRESS}\n")
    resolv_conf.chmod(0o644)
    data = files(config=config | {"api_url": tls.url})
    return (data, f"--volume={resolv_conf}:/etc/resolv.conf:ro")


def test_entrypoint_and_its_variable_agree(image_config):
    # A rule of the older acceptance suite: the platform runs the variable, not the entrypoint.
    assert image_config["Entrypoint"] == ENTRYPOINT
    assert f"AIRBYTE_ENTRYPOINT={' '.join(ENTRYPOINT)}" in image_config["Env"]


def test_labels_say_what_the_metadata_says(image_config, root):
    data = yaml.safe_load((root / "metadata.yaml").read_text())["data"]
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
    assert image_config["Labels"] == {
        "io.airbyte.name": data["dockerRepository"],
        "io.airbyte.version": data["dockerImageTag"],
        "org.opencontainers.image.version": data["dockerImageTag"],
        "org.opencontainers.image.revision": head.stdout.strip(),
        "org.opencontainers.image.source": "",
        "org.opencontainers.image.licenses": "MIT",
    }


def test_the_user_is_a_number_and_owns_its_folders(image, image_config):
    assert image_config["User"] == "1000"
    folders = " ".join(OWN_FOLDERS)
    script = f"id -u; id -g; stat -c '%u:%g' {folders}; for f in {folders}; do touch $f/x; done"
    lines = run_shell(image, script).stdout.splitlines()
    assert lines == ["1000", "1000"] + ["1000:1000"] * len(OWN_FOLDERS)


def test_the_image_has_what_launch_scripts_use(image):
    run_shell(image, " && ".join(f"command -v {utility}" for utility in UTILITIES))


@pytest.mark.parametrize("user", ["0", "1000:1000", "12345:0"])
@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["writable", "read_only"])
def test_spec_runs_as_any_user(image, connector, user, options):
    done = run_image(image, "spec", options=(f"--user={user}", "--cap-drop=ALL", *options))
    assert done.stdout == connector.spec().stdout
    assert done.stderr == ""


def test_a_busy_workspace_fits_into_the_memory_the_metadata_asks_for(image, files, root, large_fake, catalog):
    metadata = yaml.safe_load((root / "metadata.yaml").read_text())
    [job] = metadata["data"]["resourceRequirements"]["jobSpecific"]
    memory = job["resourceRequirements"]["memory_request"].removesuffix("i")
    data = files(config=large_fake.config(), catalog=configured(catalog))
    command = ["read", "--config", "/data/config.json", "--catalog", "/data/catalog.json"]
    limits = (f"--memory={memory}", f"--memory-swap={memory}")
    done = run_image(image, *command, options=(data, *limits))
    output = parse_output(command, 0, done.stdout, done.stderr)
    assert {output.statuses(stream)[-1] for stream in STREAMS} == {"COMPLETE"}


def test_docker_stop_ends_it_quickly(image, files, silent_api, config, catalog):
    """As process 1 of a container a program without a handler ignores SIGTERM, for ten seconds."""
    data = files(config=config | {"api_url": silent_api.url}, catalog=configured(catalog))
    command = ["read", "--config", "/data/config.json", "--catalog", "/data/catalog.json"]
    container = docker("run", "--detach", "--network=host", data, image, *command).stdout.strip()
    try:
        silent_api.wait_for_a_request()
        started = time.monotonic()
        docker("stop", container)
        assert time.monotonic() - started < 6
        assert docker("wait", container).stdout.strip() == "143"
        logs = docker("logs", container)
    finally:
        docker("rm", "--force", container)
    output = parse_output(command, 143, logs.stdout, logs.stderr)
    for stream in catalog["streams"]:
        assert "COMPLETE" not in output.statuses(stream["name"])


def test_names_are_resolved_and_certificates_checked(image, names, behind_tls):
    """The static binary brings its own resolver and roots, and accepts one more certificate."""
    trusted = check(image, (*behind_tls, "--env=SSL_CERT_FILE=/data/ca.pem"))
    assert trusted.only("CONNECTION_STATUS")["status"] == "SUCCEEDED", trusted
    assert TlsFront.NAME in names.asked
    # That is for the user to mend, so it is an answer and no error.
    distrusted = check(image, behind_tls)
    status = distrusted.only("CONNECTION_STATUS")
    assert status["status"] == "FAILED" and "SSL_CERT_FILE" in status["message"], distrusted


def test_a_proxy_is_used_unless_told_otherwise(image, tls, behind_tls):
    proxy = Proxy(to_port=tls.port)
    options = (*behind_tls, "--env=SSL_CERT_FILE=/data/ca.pem", f"--env=HTTPS_PROXY={proxy.url}")
    try:
        check(image, options).only("CONNECTION_STATUS")
        assert set(proxy.asked) == {f"CONNECT {tls.NAME}:{tls.port} HTTP/1.1"}
        proxy.asked.clear()
        direct = check(image, (*options, f"--env=NO_PROXY={tls.NAME}"))
        assert direct.only("CONNECTION_STATUS")["status"] == "SUCCEEDED", direct
        assert not proxy.asked
    finally:
        proxy.close()


def test_the_build_stage_is_sent_all_that_cargo_reads(root, tmp_path):
    """The stage that compiles needs a base we cannot have here; what it copies we can look at."""
    copy_context = "FROM busybox-stand-in:local\nCOPY . /build\n"
    older_builder = os.environ | {"DOCKER_BUILDKIT": "0"}
    command = ["build", "--quiet", "--file", "-", str(root)]
    context = docker(*command, input=copy_context, env=older_builder).stdout.strip()
    container = docker("create", context, "true").stdout.strip()
    docker("cp", f"{container}:/build", str(tmp_path))
    docker("rm", container)
    sent = {path.relative_to(tmp_path / "build") for path in (tmp_path / "build").rglob("*.rs")}
    assert {path.relative_to(root) for path in (root / "src").rglob("*.rs")} <= sent
    assert not (tmp_path / "build/target").exists()
    # Reads every manifest of the workspace, and fails if the lock file does not fit them.
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    subprocess.run(command, cwd=tmp_path / "build", check=True, capture_output=True, timeout=120)


def check(image: str, options: tuple):
    command = ["check", "--config", "/data/config.json"]
    done = run_image(image, *command, options=options, check=False)
    return parse_output(command, done.returncode, done.stdout, done.stderr)
