"""The commands of docs/runners.md, run against a fake workspace."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import psycopg
import pytest
import yaml

from fake import Fake
from pages import blocks, section
from warehouse import Warehouse

IMAGE = "source-100ms:dev"


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "docs/runners.md").read_text()


@pytest.fixture
def fake(fake_binary):
    """A workspace of its own for each test, which may change it."""
    api = Fake(fake_binary, seed=5)
    yield api
    api.close()


@pytest.fixture
def folder(tmp_path, connector, fake) -> Path:
    """Where somebody works: the program that was built, and a configuration."""
    (tmp_path / "target/release").mkdir(parents=True)
    (tmp_path / "target/release/source-100ms").symlink_to(connector.binary)
    (tmp_path / "config.json").write_text(json.dumps(fake.config()))
    return tmp_path


def run(command: list, folder: Path, timeout: float = 240) -> subprocess.CompletedProcess:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": programs},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def rows(folder: Path, table: str) -> set[str]:
    with duckdb.connect(folder / "100ms.duckdb", read_only=True) as database:
        return {id for (id,) in database.execute(f"SELECT id FROM {table}").fetchall()}


def test_pyairbyte_reads_as_the_page_says(page, folder, fake):
    script, _ = blocks(section(page, "PyAirbyte"), "python")
    before = fake.truth()
    run([sys.executable, "-c", script], folder)
    fake.advance()
    run([sys.executable, "-c", script], folder)
    after = fake.truth()
    assert set(before["active_room_peers"]) - set(after["active_room_peers"]), "nobody has left"
    assert rows(folder, "active_room_peers") == set(after["active_room_peers"])
    for stream in ("sessions", "rooms", "recordings"):
        assert rows(folder, stream) == before[stream].keys() | after[stream].keys()


def test_pyairbyte_reads_into_postgresql_as_the_page_says(page, folder, fake, postgres):
    """Both scripts as one: the second names the cache that takes the place of the DuckDB."""
    told = section(page, "PyAirbyte")
    (script, cache), [in_utc, query] = blocks(told, "python"), blocks(told, "sql")
    [duck] = re.findall(r"^cache = .*\n", script, re.MULTILINE)
    [database], [schema] = re.findall(r'database="(\w+)"', cache), re.findall(r'schema_name="(\w+)"', cache)
    assert database in in_utc
    url = postgres.create("somebody_s_warehouse")
    script = script.replace(duck, cache.replace(f'"{database}"', '"somebody_s_warehouse"'))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(in_utc.replace(database, "somebody_s_warehouse"))
    reach = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": postgres.USER, "PGPASSWORD": "none"}
    before = fake.truth()
    run(["env", *(f"{name}={value}" for name, value in reach.items()), sys.executable, "-c", script], folder)
    fake.advance()
    run(["env", *(f"{name}={value}" for name, value in reach.items()), sys.executable, "-c", script], folder)
    after = fake.truth()
    with psycopg.connect(url) as connection:
        def ids(table: str) -> set[str]:
            return {id for (id,) in connection.execute(f"SELECT id FROM {schema}.{table}").fetchall()}

        assert ids("active_room_peers") == set(after["active_room_peers"])
        for stream in ("sessions", "rooms", "recordings"):
            assert ids(stream) == before[stream].keys() | after[stream].keys()
        assert sum(count for _, count in connection.execute(query).fetchall()) == len(ids("sessions"))
        [(newest,)] = connection.execute(f"SELECT max(updated_at) FROM {schema}.rooms").fetchall()
    assert newest.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == max(room["updated_at"] for room in after["rooms"].values())


def test_people_who_left_stay_where_pyairbyte_merges(fake, connector, tmp_path):
    """What the page warns of. If this fails, PyAirbyte has become better, and the page should say so."""
    warehouse = Warehouse(fake, tmp_path, {"local_executable": connector.binary})
    before = fake.truth()["active_room_peers"]
    warehouse.sync(["active_room_peers"])
    fake.advance()
    after = fake.truth()["active_room_peers"]
    warehouse.sync(["active_room_peers"])
    assert {row["id"] for row in warehouse.query("SELECT id FROM active_room_peers")} == {*before, *after}
    assert set(before) - set(after)


def test_appended_snapshots_keep_who_was_in(fake, connector, tmp_path):
    """So that `live_snapshots` of the dbt package, which has a unit test, can count them."""
    warehouse = Warehouse(fake, tmp_path, {"local_executable": connector.binary})
    expected = []
    for _ in range(3):
        expected.append(len(fake.truth()["active_room_peers"]))
        warehouse.sync(["active_room_peers"], force_full_refresh=True, write_strategy="append")
        fake.advance()
    found = warehouse.query("""
        SELECT count(*) AS rows FROM active_room_peers
        GROUP BY date_trunc('second', _airbyte_extracted_at) ORDER BY min(_airbyte_extracted_at)
    """)
    assert sum(row["rows"] for row in found) == sum(expected) and len(found) >= 3


def test_airbyte_serverless_runs_as_the_page_says(page, folder, fake):
    told = section(page, "airbyte-serverless")
    [connection], [commands] = blocks(told, "yaml"), blocks(told, "sh")
    connection = yaml.safe_load(connection)
    start = connection["source"]["config"]["start_date"]
    connection["source"]["config"] = fake.config() | {"start_date": start}
    (folder / "connections").mkdir()
    (folder / "connections/100ms.yaml").write_text(yaml.safe_dump(connection))
    said = run(["bash", "-euc", commands], folder).stdout.splitlines()
    assert said[-1].endswith("SUCCESS: OK")
    table, counts = "", {}
    for line in said:
        if line.startswith("_AIRBYTE"):
            table = line
        elif line.startswith('{"_airbyte_raw_id"'):
            counts[table] = counts.get(table, 0) + 1
    truth = fake.truth(start)
    for stream in ("sessions", "rooms"):
        assert counts[f"_AIRBYTE_RAW_{stream.upper()}"] == len(truth[stream])


def test_airbyte_serverless_takes_our_image_for_a_command(page, tmp_path):
    """Why the page says `docker_image`."""
    abs_command = Path(sys.executable).with_name("abs")
    create = [abs_command, "create", "100ms", "--source", IMAGE]
    done = subprocess.run(create, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert f"{IMAGE}: not found" in done.stdout
    assert f"docker_image: {IMAGE}" in section(page, "airbyte-serverless")


def written(folder: Path, stream: str) -> dict[str, dict]:
    """The newest record of each id in the file of a stream."""
    lines = (folder / f"{stream}.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_docker_reads_on_as_the_page_says(page, image, folder, fake, docker_on_the_host):
    assert image == IMAGE
    [line] = blocks(section(page, "Docker alone, and cron"), "sh")
    script = f"PATH={docker_on_the_host}:$PATH\n{line}"
    before = fake.truth()
    run(["bash", "-euc", script], folder)
    fake.advance()
    run(["bash", "-euc", script], folder)
    after = fake.truth()
    for stream in ("sessions", "rooms", "recordings"):
        assert written(folder / "100ms", stream) == before[stream] | after[stream]
    lines = (folder / "100ms/sessions.jsonl").read_text().splitlines()
    assert len(lines) < 2 * len(before["sessions"]), "the second run read everything again"


def test_the_manifest_for_kubernetes_fits_the_image(page, image, folder, fake):
    """Its container, started by Docker with the rights and limits that the manifest gives it."""
    [manifest] = blocks(section(page, "Kubernetes CronJob"), "yaml")
    job = yaml.safe_load(manifest)["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == f"registry.example.com/{image}" and job["concurrencyPolicy"] == "Forbid"
    rights = pod["securityContext"]
    # A secret and a volume belong to root and to the group that `fsGroup` names.
    (folder / "data").mkdir()
    (folder / "data").chmod(0o770)
    (folder / "config.json").chmod(0o640)
    for path in (folder / "data", folder / "config.json"):
        os.chown(path, 0, rights["fsGroup"])
    options = [
        f"--user={rights['runAsUser']}:{rights['runAsGroup']}",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={container['resources']['limits']['memory'].removesuffix('i')}",
        f"--volume={folder / 'config.json'}:/config/config.json:ro",
        f"--volume={folder / 'data'}:/data",
    ]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/config", "/data"}
    run(["docker", "run", "--rm", "--network=host", *options, image, *container["args"]], folder)
    assert written(folder / "data/100ms", "rooms") == fake.truth()["rooms"]


def test_the_dag_for_airflow_starts_the_same_command(page, root):
    [dag] = blocks(section(page, "Airflow's DockerOperator"), "python")
    [manifest] = blocks(section(page, "Kubernetes CronJob"), "yaml")
    [container] = yaml.safe_load(manifest)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    calls = [node for node in ast.walk(ast.parse(dag)) if isinstance(node, ast.Call)]
    [operator] = [call for call in calls if getattr(call.func, "id", "") == "DockerOperator"]
    given = {keyword.arg: keyword.value for keyword in operator.keywords}
    assert ast.literal_eval(given["image"]) == IMAGE
    told = [argument.replace("/config/", "/data/") for argument in container["args"]]
    assert ast.literal_eval(given["command"]) == told


def test_meltano_is_given_our_image_and_the_whole_key(page, connector, fake):
    """It cannot run here, but what its file says of the connector can be compared."""
    [file] = blocks(section(page, "Meltano"), "yaml")
    [extractor] = yaml.safe_load(file)["plugins"]["extractors"]
    given = extractor["config"]
    assert f"{given['airbyte_spec.image']}:{given['airbyte_spec.tag']}" == IMAGE
    assert set(given["airbyte_config"]) <= {"credentials", "start_date"}
    composite = {
        stream["name"]: {"__key_properties__": [path[0] for path in stream["source_defined_primary_key"]]}
        for stream in connector.discover(fake.config() | {"extra_streams": []}).only("CATALOG")["streams"]
        if len(stream["source_defined_primary_key"]) > 1
    }
    assert given["stream_maps"] == composite


def test_the_versions_are_those_that_run_here(page, root):
    pinned = (root / "integration_tests/acceptance/requirements.txt").read_text().splitlines()
    for package, title in [("airbyte", "PyAirbyte"), ("airbyte-serverless", "airbyte-serverless")]:
        [version] = [line.split("==")[1].split()[0] for line in pinned if line.startswith(f"{package}==")]
        assert f"[{title}](#{title.lower()}) {version}" in page
