"""Rules of the older acceptance suite for the spec, which the CDK's lint no longer checks."""

import jsonschema
import pytest

FORBIDDEN = {
    "$ref", "allOf", "anyOf", "not", "if", "then", "else",
    "patternProperties", "prefixItems", "dependentSchemas", "dependentRequired",
}  # fmt: skip
SECRET_NAMES = {"management_token", "app_secret", "personal_data_salt"}


@pytest.fixture(scope="module")
def spec(connector) -> dict:
    return connector.spec().only("SPEC")


@pytest.fixture(scope="module")
def schema(spec) -> dict:
    return spec["connectionSpecification"]


def nodes(schema, path=()):
    """Every schema in the schema, with the names that lead to it."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, (*path, name))
    for variant in schema.get("oneOf", []):
        yield from nodes(variant, (*path, variant.get("title", "?")))
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], (*path, "items"))


def properties(schema):
    for path, node in nodes(schema):
        yield from (((*path, name), child) for name, child in node.get("properties", {}).items())


def test_it_is_a_json_schema_of_an_object(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["type"] == "object" and schema["properties"]


def test_documentation_is_where_the_metadata_says(spec, root):
    assert f"documentationUrl: {spec['documentationUrl']}\n" in (root / "metadata.yaml").read_text()


def test_no_keyword_that_forms_cannot_show(schema):
    used = {(path, keyword) for path, node in nodes(schema) for keyword in node if keyword in FORBIDDEN}
    assert not used


def test_nothing_forbids_unknown_keys(schema):
    """Platforms add keys of their own to a config."""
    assert all(node.get("additionalProperties", True) is True for _, node in nodes(schema))


def test_types_are_single(schema):
    for path, node in nodes(schema):
        kind = node.get("type")
        if isinstance(kind, list):
            assert len(kind) == 1 or (len(kind) == 2 and kind[1] == "null"), path
        if kind == "object":
            assert "properties" in node or "oneOf" in node, path
        if kind == "array":
            assert node["items"]["type"] in {"string", "number", "integer", "object"}, path


def test_every_choice_has_one_constant_that_tells(schema):
    choices = [(path, node) for path, node in nodes(schema) if "oneOf" in node]
    assert choices
    for path, node in choices:
        assert node["type"] == "object", path
        variants = node["oneOf"]
        assert all(v["type"] == "object" and v["title"] and v["properties"] for v in variants), path
        shared = set.intersection(*(set(v["properties"]) for v in variants))
        assert len(shared) == 1, (path, shared)
        tags = [variant["properties"][next(iter(shared))] for variant in variants]
        constants = [tag["const"] for tag in tags]
        assert len(set(constants)) == len(constants), path
        for tag in tags:
            assert tag.get("default", tag["const"]) == tag["const"], path
            assert tag.get("enum", [tag["const"]]) == [tag["const"]], path


def test_every_property_says_what_it_is(schema):
    for path, node in properties(schema):
        assert node.get("title"), path
        assert node.get("description") or "const" in node, path


def test_order_is_unique_among_siblings_of_a_group(schema):
    for path, node in nodes(schema):
        siblings = node.get("properties", {}).values()
        orders = [(c.get("group", ""), c["order"]) for c in siblings if "order" in c]
        assert len(set(orders)) == len(orders), path


def test_every_group_has_a_title_and_every_field_a_group(schema):
    groups = {group["id"]: group["title"] for group in schema["groups"]}
    assert all(groups.values())
    assert {field.get("group") for field in schema["properties"].values()} == set(groups)


def test_display_hints_stand_where_they_may(schema):
    for path, node in nodes(schema):
        assert "display_type" not in node or "oneOf" in node, path
        assert "group" not in node or len(path) == 1, path
        assert "pattern" not in node or "pattern_descriptor" in node, path
        assert "enum" not in node or len(set(node["enum"])) == len(node["enum"]), path
        if node.get("format") in {"date", "date-time"}:
            assert "pattern" in node, path


def test_required_keys_exist(schema):
    for path, node in nodes(schema):
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path


def test_exactly_the_secrets_are_secret(schema):
    marked = {path[-1] for path, node in properties(schema) if node.get("airbyte_secret") is True}
    assert marked == SECRET_NAMES


@pytest.mark.parametrize("mode", ["oss", "cloud", "OSS", "CLOUD"])
def test_spec_is_the_same_everywhere(connector, spec, mode):
    assert connector.run("spec", DEPLOYMENT_MODE=mode).only("SPEC") == spec


def test_defaults_and_examples_fit_their_own_property(schema):
    for path, node in properties(schema):
        for value in [*node.get("examples", []), *([node["default"]] if "default" in node else [])]:
            jsonschema.Draft7Validator(node).validate(value)


def test_configs_of_airbytes_own_connector_are_valid(schema):
    """Platforms check a stored config against the new spec before they start the connector."""
    jsonschema.validate({"management_token": "a-token", "start_date": "2024-01-01T00:00:00Z"}, schema)
