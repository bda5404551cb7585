"""docs/100ms.md has the catalogue's form and says what the connector says of itself."""

import json
import re
import subprocess

import pytest

from connector import EXTRA, STREAMS, configured
from pages import blocks, section

# The columns that the manifest of Airbyte's own connector declares. Its other columns have the names of ids.
OLD_COLUMNS = {
    "sessions": "_id active app_id created_at customer_id ended_at id peers room_id updated_at user_id",
    "rooms": "description app_id created_at customer customer_id enabled id large_room name region template template_id "
    "updated_at",
    "active_room_peers": "uuid",
    "templates": "_id appId createdAt customer customerId destinations id name plugins roles settings updatedAt",
    "template_settings": "region retry roomState subscribeDegradation uuid",
    "templates_destinations": "uuid",
    "analytics_events": "version type data id timestamp",
    "recordings": "asset_types created_at destination id meeting_url recording_assets room_id session_id started_at "
    "started_by status stopped_by updated_at",
}
SECTIONS = [
    "Prerequisites",
    "Setup guide",
    "Supported sync modes",
    "Supported Streams",
    "Performance considerations",
    "What is masked",
    "Personal data",
    "Data type map",
    "Limitations & Troubleshooting",
    "Changelog",
]


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs/100ms.md").read_text()


@pytest.fixture(scope="module")
def spec(connector):
    return connector.spec().only("SPEC")["connectionSpecification"]


def rows(text: str) -> list[list[str]]:
    """The cells of the table in the text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def tables(text: str) -> list[list[list[str]]]:
    """Each table of the text, as its cells without the head."""
    return [rows(table) for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def test_sections_come_in_the_catalogues_order(page):
    assert page.startswith("# 100ms\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS


def test_prerequisites_name_every_required_field(page, spec):
    titles = [spec["properties"][name]["title"] for name in spec["required"]]
    assert all(f"**{title}**" in section(page, "Prerequisites") for title in titles), titles


def test_the_table_of_fields_is_the_spec(page, spec):
    told = {(title, key.strip("`")) for title, key, *_ in rows(section(page, "Step 3: Set up the source"))}
    assert told == set(fields(spec))


def fields(spec: dict):
    for name, field in spec["properties"].items():
        if not field.get("airbyte_hidden"):
            yield field["title"], name
        for variant in field.get("oneOf", []):
            for inner, leaf in variant["properties"].items():
                if "const" not in leaf:
                    yield leaf["title"], f"{name}.{inner}"


def test_the_tables_of_streams_are_the_catalog(page, connector, config):
    [always, extra] = tables(section(page, "Supported Streams"))
    told = {named(row[0]): (names(row[1]), names(row[2])) for row in always + extra}
    modes = {named(row[0]): row[3] for row in always}
    offered = connector.discover(config | {"extra_streams": list(map(named, map(first, extra)))}).only("CATALOG")
    assert told == {
        stream["name"]: (
            [path[0] for path in stream["source_defined_primary_key"]],
            stream.get("default_cursor_field") or [],
        )
        for stream in offered["streams"]
    }
    for stream in offered["streams"]:
        spoken = ", ".join(mode.replace("_", " ") for mode in stream["supported_sync_modes"])
        assert modes.get(stream["name"], spoken) == spoken


def first(row: list[str]) -> str:
    return row[0]


def named(link: str) -> str:
    """The stream that a link in the first column leads to."""
    return re.match(r"\[`(\w+)`\]", link)[1]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_field_of_every_stream_is_described(page, root):
    for path in sorted((root / "schemas").glob("*.json")):
        if path.stem in EXTRA:
            continue
        properties = json.loads(path.read_text())["properties"]
        described = {name.strip("`"): kind for name, kind, _ in rows(section(page, path.stem))}
        assert described.keys() == properties.keys(), path.stem
        for name, leaf in properties.items():
            assert described[name].split()[0] == kind_of(leaf), (path.stem, name)


def test_every_field_of_the_extra_streams_is_named(page, root):
    """Their tables put several fields into one row, and four figures of each measure of `peer_quality`."""
    titles = re.findall(r"^### (.*)$", page, re.MULTILINE)
    for stream in EXTRA:
        [title] = [title for title in titles if stream in title.split(" and ")]
        # Streams with files have the columns of recordings, too.
        sections = [section(page, title), *([section(page, "recordings")] if " and " in title else [])]
        told = {name for text in sections for row in rows(text) for name in names(row[0])}
        measures = {name.removesuffix("_mean") for name in told} if stream == "peer_quality" else set()
        figures = {f"{measure}_{figure}" for measure in measures for figure in ("mean", "min", "max", "p95")}
        fields = json.loads((root / f"schemas/{stream}.json").read_text())["properties"].keys()
        assert not fields - told - figures, stream


def kind_of(leaf: dict) -> str:
    if leaf.get("format") == "date-time":
        return "timestamp"
    kinds = [leaf["type"]] if isinstance(leaf["type"], str) else leaf["type"]
    return next(kind for kind in kinds if kind != "null")


def test_the_move_from_airbytes_connector_accounts_for_every_column(page, root):
    """Each old column is told or has the same name in the new table, and each new one is told or is old."""
    told: dict[str, tuple[set, set]] = {}
    for stream, old, new in rows(section(page, "From Airbyte's own 100ms connector")):
        stream = stream.strip("`") or current
        current = stream
        before, after = told.setdefault(stream, (set(), set()))
        before |= set(names(old))
        after |= set(names(new))
    assert told.keys() == OLD_COLUMNS.keys()
    for stream, (before, after) in told.items():
        old = set(OLD_COLUMNS[stream].split())
        new = json.loads((root / f"schemas/{stream}.json").read_text())["properties"].keys()
        assert old - before <= new, (stream, old - before - new)
        assert new - after <= old, (stream, new - after - old)


def test_the_table_of_frequencies_is_made_by_the_program_it_names(page, root):
    """A short day in a small workspace: the columns are those of the table, and its streams are known."""
    told = section(page, "How often to sync")
    day = root / "integration_tests/day-of-syncs"
    assert day.name in told
    command = [day, "--hours=1", "--scale=small", "templates", "webhook_events", "recordings recording_urls=none"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    [head, _, *counted] = [line.strip("|").split("|") for line in done.stdout.splitlines()]
    [shown] = [line.strip("|").split("|") for line in told.splitlines() if line.startswith("| Stream |")]
    assert [len(row) for row in (head, *counted)] == [7] * 4 and len(shown) == 8
    for row in counted:
        first, quiet, changed, often, hourly, daily = (int(cell.replace(",", "")) for cell in row[1:])
        assert first > 0 and hourly == changed and often >= hourly + 3 * quiet - 3 and daily > 0
    assert {name for row in rows(told) for name in names(row[0])} <= {*STREAMS}


def test_every_sentence_under_troubleshooting_is_one_of_ours(page, root):
    """Of each sentence its longest piece between two gaps, where names, numbers and times stand."""
    source = "".join(path.read_text() for path in (root / "src").rglob("*.rs"))
    sentences = [cell for cell, _ in rows(section(page, "Troubleshooting"))]
    assert len(sentences) > 10
    for sentence in sentences:
        pieces = re.split(r"…|503|401|403|``, ``", sentence)
        longest = max((piece.strip("` (").strip() for piece in pieces), key=len)
        assert longest in source, sentence


def test_links_lead_to_files_and_headings_of_the_project(root):
    tracked = subprocess.run(["git", "-C", root, "ls-files", "*.md"], capture_output=True, text=True, check=True)
    paths = [root / name for name in tracked.stdout.split()]
    assert len(paths) > 5
    for path in paths:
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
            file, _, heading = link.partition("#")
            assert not file.startswith("/"), (path, link)
            there = (path.parent / file).resolve() if file else path
            assert there.exists(), (path, link)
            assert not heading or heading in anchors(there.read_text()), (path, link)


def anchors(page: str) -> set[str]:
    """How links name the headings: in small letters, with dashes for blanks and without punctuation."""
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_nothing_is_linked_without_tls(page):
    assert not re.findall(r"http://(?!127\.0\.0\.1|localhost)", page)


def test_what_the_map_and_the_recipe_name_is_there(root):
    for name in ("architecture.md", "adding-a-stream.md"):
        told = re.findall(r"`([\w-]+(?:/[\w.-]+)*(?:/|\.(?:rs|py|md|json)))`", (root / "docs" / name).read_text())
        assert len(told) > 5, name
        for path in told:
            places = ["", "src", "src/streams", "integration_tests", "integration_tests/fake-100ms/src"]
            assert any((root / place / path).exists() for place in places), (name, path)


def test_the_map_names_every_module_and_each_folder_its_files(root):
    page = (root / "docs/architecture.md").read_text()
    for path in (root / "src").iterdir():
        assert f"| `src/{path.name}{'/' if path.is_dir() else ''}` |" in page, path
    for folder in [path for path in (root / "src").rglob("*") if (path / "mod.rs").exists()]:
        head = re.findall(r"^//!.*$", (folder / "mod.rs").read_text(), re.MULTILINE)
        named = set(re.findall(r"`(\w+)`", "\n".join(head)))
        files = {path.stem for path in folder.glob("*.rs")} - {"mod", "tests", "test_server"}
        # A stream's file is named like the stream.
        assert not files - named - set(STREAMS), folder


def test_the_state_in_the_map_has_the_keys_of_a_real_one(root, connector, fake, catalog):
    [told] = blocks(section((root / "docs/architecture.md").read_text(), "The central idea: slices"), "json")
    told = json.loads(told)
    read = connector.read(fake.config(), configured(catalog, "incremental", only=["sessions"]))
    [real] = [state["stream"]["stream_state"] for state in read.final_state()]
    assert told.keys() == real.keys()
    assert told["resume"].keys() == {"until", "latest", "pending"}


def test_the_hash_to_look_for_is_the_one_in_the_tables(page, connector, fake):
    """The lines under "GDPR", for somebody who was in a session."""
    [lines] = blocks(section(page, "GDPR"), "sh")
    [salt], [person] = re.findall(r'SALT="(.*)"', lines), re.findall(r'printf %s "(.*?)"', lines)
    truth = fake.truth()["active_room_peers"].values()
    known = next(peer for peer in truth if peer["user_id"])
    told = subprocess.run(["bash", "-euc", lines.replace(person, known["user_id"])], capture_output=True, text=True)
    config = fake.config() | {"personal_data": "hash", "personal_data_salt": salt}
    read = connector.run_with("read", config=config, catalog=configured(connector.discover(config).only("CATALOG")))
    hashes = {peer["id"]: peer["user_id"] for peer in read.records("active_room_peers")}
    assert told.stdout.split()[-1] == hashes[known["id"]], told
