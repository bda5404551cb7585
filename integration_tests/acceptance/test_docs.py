"""docs/100ms.md has the catalogue's form and says what the connector says of itself."""

import json
import re

import pytest

from pages import section

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
    "IP allow list",
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


def test_sections_come_in_the_catalogues_order(page):
    assert page.startswith("# 100ms\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS


def test_prerequisites_name_every_required_field(page, spec):
    titles = [spec["properties"][name]["title"] for name in spec["required"]]
    assert all(f"**{title}**" in section(page, "Prerequisites") for title in titles), titles


def test_the_table_of_fields_is_the_spec(page, spec):
    told = {(title, key.strip("`")) for title, key, *_ in rows(section(page, "Step 2: Set up the source"))}
    assert told == set(fields(spec))


def fields(spec: dict):
    for name, field in spec["properties"].items():
        if not field.get("airbyte_hidden"):
            yield field["title"], name
        for variant in field.get("oneOf", []):
            for inner, leaf in variant["properties"].items():
                if "const" not in leaf:
                    yield leaf["title"], f"{name}.{inner}"


def test_the_table_of_streams_is_the_catalog(page, catalog):
    told = {}
    for name, key, cursor, modes, _ in rows(section(page, "Supported Streams")):
        told[re.match(r"\[`(\w+)`\]", name)[1]] = (
            re.findall(r"`(\w+)`", key),
            re.findall(r"`(\w+)`", cursor),
            modes,
        )
    assert told == {
        stream["name"]: (
            [path[0] for path in stream["source_defined_primary_key"]],
            stream.get("default_cursor_field") or [],
            ", ".join(mode.replace("_", " ") for mode in stream["supported_sync_modes"]),
        )
        for stream in catalog["streams"]
    }


def test_every_field_of_every_stream_is_described(page, root):
    for path in sorted((root / "schemas").glob("*.json")):
        properties = json.loads(path.read_text())["properties"]
        described = {name.strip("`"): kind for name, kind, _ in rows(section(page, path.stem))}
        assert described.keys() == properties.keys(), path.stem
        for name, leaf in properties.items():
            assert described[name].split()[0] == kind_of(leaf), (path.stem, name)


def kind_of(leaf: dict) -> str:
    if leaf.get("format") == "date-time":
        return "timestamp"
    kinds = [leaf["type"]] if isinstance(leaf["type"], str) else leaf["type"]
    return next(kind for kind in kinds if kind != "null")


def test_every_sentence_under_troubleshooting_is_one_of_ours(page, root):
    """Of each sentence its longest piece between two gaps, where names, numbers and times stand."""
    source = "".join(path.read_text() for path in (root / "src").rglob("*.rs"))
    sentences = [cell for cell, _ in rows(section(page, "Troubleshooting"))]
    assert len(sentences) > 10
    for sentence in sentences:
        pieces = re.split(r"…|503|401|403|``, ``", sentence)
        longest = max((piece.strip("` (").strip() for piece in pieces), key=len)
        assert longest in source, sentence


def test_links_within_the_page_lead_somewhere(page):
    anchors = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", page)) <= anchors


def test_nothing_is_linked_without_tls(page):
    assert not re.findall(r"http://(?!127\.0\.0\.1|localhost)", page)
