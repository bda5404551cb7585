"""Whatever 100ms sends, the rows arrive: in the strict models of the protocol, and in PostgreSQL."""

import copy

import jsonschema
import orjson
import psycopg
import pytest
from airbyte_cdk.models import AirbyteMessageSerializer

from connector import configured
from odd_api import ODD_VALUES, OddApi
from warehouse import PostgreSql, Warehouse


@pytest.fixture(scope="module")
def odd():
    api = OddApi()
    yield api
    api.close()


@pytest.fixture(scope="module")
def output(connector, odd):
    catalog = connector.discover(odd.config()).only("CATALOG")
    output = connector.read(odd.config(), configured(catalog, only=list(OddApi.STREAMS)))
    assert output.code == 0, output
    return output


@pytest.mark.parametrize("stream", OddApi.STREAMS)
def test_every_item_is_a_record(output, stream):
    assert len(output.records(stream)) == len(ODD_VALUES), output


def test_the_client_library_reads_every_line(output):
    """Its parser drops a line that it cannot read, and goes on."""
    for line in output.stdout.splitlines():
        AirbyteMessageSerializer.load(orjson.loads(line))


@pytest.mark.parametrize("stream", OddApi.STREAMS)
def test_every_record_is_what_its_schema_says(connector, odd, output, stream):
    catalog = connector.discover(odd.config()).only("CATALOG")
    [schema] = [s["json_schema"] for s in catalog["streams"] if s["name"] == stream]
    for record in output.records(stream):
        jsonschema.validate(record, schema)


def test_what_can_be_kept_is_kept(output):
    rooms = {room["id"].removeprefix("room-"): room for room in output.records("rooms")}
    assert rooms["half_of_a_letter"]["name"] == "a\ufffdb"
    assert rooms["zero_letter"]["key"] == "a\ufffdb"
    assert rooms["bad_byte"]["name"] == "a\ufffdb"
    assert rooms["line_breaks"]["description"] == "a\u2028b\u2029c\u0085d"
    assert (rooms["text_of_a_number"]["size"], rooms["text_of_truth"]["enabled"]) == (12, True)
    assert (rooms["truth"]["name"], rooms["beyond_64_bits"]["size"]) == ("true", None)
    assert rooms["object"]["recording_info"] == {"a\ufffd": "\ufffd", "n": "1e400", "list": [{"b\ufffd": None}]}
    assert rooms["truth"]["webhook"] == {"value": True}


def test_what_could_not_be_kept_is_named_with_its_record(output):
    changes = {
        record["data"]["id"].removeprefix("room-"): {
            change["field"]: change["change"] for change in record.get("meta", {}).get("changes", [])
        }
        for record in output.of_type("RECORD")
        if record["stream"] == "rooms"
    }
    assert changes["nothing"] == {}
    assert (changes["beyond_64_bits"]["size"], changes["beyond_64_bits"]["webhook"]) == ("NULLED", "TRUNCATED")
    assert (changes["half_of_a_letter"]["name"], changes["deep"]["recording_info"]) == ("TRUNCATED", "TRUNCATED")
    assert "name" not in changes["line_breaks"] and "size" not in changes["text_of_a_number"]


def test_a_column_of_json_takes_every_record(output, postgres):
    """As Airbyte's destination keeps them before it makes columns of them."""
    with psycopg.connect(postgres.create("raw_rows")) as connection:
        connection.execute("CREATE TABLE raw_rows (data jsonb)")
        for line in output.stdout.splitlines():
            if line.startswith('{"type":"RECORD"'):
                # The bytes as they were written, not what a parser has made of them.
                connection.execute("INSERT INTO raw_rows SELECT %s::jsonb -> 'record' -> 'data'", [line])
        [[count]] = connection.execute("SELECT count(*) FROM raw_rows WHERE data ? 'id'").fetchall()
    assert count == len(OddApi.STREAMS) * len(ODD_VALUES)


def test_a_real_client_loads_every_row(connector, odd, postgres, tmp_path):
    # Beside the tables of other tests.
    server = copy.copy(postgres)
    server.DATABASE = "odd_values"
    warehouse = Warehouse(odd, tmp_path, {"local_executable": connector.binary}, server)
    warehouse.database = PostgreSql(server.create(server.DATABASE))
    warehouse.sync(list(OddApi.STREAMS))
    for stream in OddApi.STREAMS:
        [row] = warehouse.query(f"SELECT count(*) AS rows FROM {stream}")
        assert row["rows"] == len(ODD_VALUES), stream
