"""PyAirbyte, a real client, reads all streams into DuckDB twice, with its own state."""

import datetime
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import airbyte
import pytest

from connector import INCREMENTAL, STREAMS, key_of
from warehouse import Warehouse

# Columns that PyAirbyte adds to every table.
OWN_COLUMNS = {"_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta"}


def plain(value: object, column_type: str) -> object:
    """A value of the database as JSON says it."""
    if value is None:
        return None
    if column_type == "JSON":
        return json.loads(value)
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, Decimal):
        # PyAirbyte keeps nine digits after the point.
        return float(value)
    return value


def close_enough(found: object, expected: object) -> bool:
    if isinstance(expected, float):
        return isinstance(found, (int, float)) and abs(found - expected) <= 1e-9
    return found == expected


def table(warehouse: Warehouse, stream: str) -> dict[tuple, dict]:
    types = warehouse.columns(stream)
    rows = [
        {name: plain(value, types[name]) for name, value in row.items() if name not in OWN_COLUMNS}
        for row in warehouse.query(f"SELECT * FROM {stream}")
    ]
    keyed = {key_of(stream, row): row for row in rows}
    assert len(keyed) == len(rows), "a key stands twice"
    return keyed


def by_key(truth: dict, stream: str) -> dict[tuple, dict]:
    return {key_of(stream, record): record for record in truth[stream].values()}


@pytest.mark.parametrize("stream", STREAMS)
def test_tables_hold_the_truth(synced_twice, stream):
    """Rows of before stay, as PyAirbyte merges; all that changed or came new is as it is now."""
    before, after = (by_key(truth, stream) for truth in synced_twice.truths)
    rows = table(synced_twice.warehouse, stream)
    expected = before | after
    assert set(rows) == set(expected)
    for key, record in expected.items():
        differing = {
            name: (rows[key].get(name), value)
            for name, value in record.items()
            if not close_enough(rows[key].get(name), value)
        }
        assert not differing, (stream, key, differing)


@pytest.mark.parametrize("stream", STREAMS)
def test_no_column_arrives_empty_that_should_not(synced_twice, stream):
    [counts] = synced_twice.warehouse.query(f"SELECT {counted(synced_twice.truths[1], stream)} FROM {stream}")
    assert all(counts.values()), counts


def test_who_joined_twice_and_who_has_not_left_is_seen_so(synced_twice):
    """Somebody who joins again is another peer of the same user; who is still in has not left."""
    after = synced_twice.truths[1]
    earliest = min(event["created_at"] for event in after["analytics_events"].values())
    expected = {}
    for session in after["sessions"].values():
        for peer in session["peers"] if session["created_at"] >= earliest else []:
            who = peer["user_id"], session["id"]
            joins, leaves = expected.get(who, (0, 0))
            expected[who] = joins + 1, leaves + (peer["left_at"] is not None)
    rows = synced_twice.warehouse.query("""
        SELECT user_id, session_id,
               count(*) FILTER (WHERE type = 'peer.join') AS joins,
               count(*) FILTER (WHERE type = 'peer.leave') AS leaves
        FROM analytics_events
        WHERE source = 'sessions'
        GROUP BY user_id, session_id""")
    found = {(row["user_id"], row["session_id"]): (row["joins"], row["leaves"]) for row in rows}
    assert {who: found.get(who) for who in expected} == expected
    known = {counts for (user, _), counts in expected.items() if user}
    assert (2, 2) in known and any(joins > leaves for joins, leaves in known), known


def counted(truth: dict, stream: str) -> str:
    filled = {name for record in truth[stream].values() for name, v in record.items() if v is not None}
    return ", ".join(f'count("{name}") AS "{name}"' for name in sorted(filled))


@pytest.mark.parametrize("stream", STREAMS)
def test_times_and_numbers_have_types_to_reckon_with(synced_twice, stream):
    types = synced_twice.warehouse.columns(stream)
    for name, kind in types.items():
        if name.endswith("_at") and name not in OWN_COLUMNS:
            assert kind == "TIMESTAMP", name  # in UTC, as PyAirbyte keeps all times in DuckDB
    numbers = {"duration": "DECIMAL(38,9)", "size": "BIGINT"}
    assert all(types[name] == numbers[name] for name in numbers.keys() & types.keys())


@pytest.mark.parametrize("stream", INCREMENTAL)
def test_something_changed_and_something_stayed(synced_twice, stream):
    """Or the second sync would have proved nothing."""
    before, after = (by_key(truth, stream) for truth in synced_twice.truths)
    assert any(before.get(key) != record for key, record in after.items())
    assert any(before.get(key) == record for key, record in after.items())


def test_the_second_sync_reads_less(synced_twice):
    first, second = synced_twice.records
    assert first >= sum(len(records) for records in synced_twice.truths[0].values())
    assert 0 < second < first


def test_the_image_serves_as_well(image, fake, tmp_path):
    warehouse = Warehouse(fake, tmp_path, {"docker_image": image, "use_host_network": True})
    warehouse.source().check()
    assert warehouse.sync() == sum(len(records) for records in fake.truth().values())


def test_a_preview_may_stop_early(connector, config):
    """Then PyAirbyte ends the connector by a signal, and accepts only that it died of it."""
    source = airbyte.get_source("source-100ms", config=config, local_executable=connector.binary)
    samples = source.get_samples(["sessions", "analytics_events"], limit=3, on_error="raise")
    assert {stream: len(list(records)) for stream, records in samples.items()} == {
        "sessions": 3,
        "analytics_events": 3,
    }


def test_its_own_validation_passes(connector, config):
    validate = [Path(sys.executable).with_name("pyab"), "validate"]
    options = [f"--connector={connector.binary}", f"--config={json.dumps(config)}"]
    done = subprocess.run([*validate, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Connection check succeeded" in done.stderr


def test_a_bad_config_is_told_to_the_user(connector, config):
    source = airbyte.get_source(
        "source-100ms",
        config=config | {"start_date": "2999-01-01T00:00:00Z"},
        local_executable=connector.binary,
    )
    with pytest.raises(airbyte.exceptions.AirbyteConnectorCheckFailedError, match="start_date"):
        source.check()
