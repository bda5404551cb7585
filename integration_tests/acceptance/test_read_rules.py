"""Rules of the older acceptance suite, and of the platform, for check, discover and read.

That suite cannot run without a container registry, so its assertions are made here. They ask of
the output only what it promises by itself; whether the records are the right ones is asked where
a client has them in a database.
"""

import json

import pytest

from connector import INCREMENTAL, OFFERED, STREAMS, configured, key_of

NO_CURSOR = {"__ab_no_cursor_state_message": True}


@pytest.fixture(scope="module")
def first(connector, config, catalog):
    output = connector.read(config, configured(catalog))
    assert output.code == 0 and not output.errors() and output.stderr == "", output
    return output


@pytest.fixture(scope="module")
def second(connector, config, catalog, first):
    return connector.read(config, configured(catalog))


def as_set(records: list[dict]) -> set[str]:
    return {json.dumps(record, sort_keys=True) for record in records}


class TestCheck:
    def test_good_credentials_of_both_kinds_give_one_status(self, connector, config, token_config):
        for good in (config, token_config):
            output = connector.check(good)
            assert output.only("CONNECTION_STATUS")["status"] == "SUCCEEDED"
            assert output.code == 0 and not output.errors()

    @pytest.mark.parametrize("bad", ["wrong_secret_config", "expired_token_config"])
    def test_refused_credentials_give_one_status(self, connector, request, bad):
        output = connector.check(request.getfixturevalue(bad))
        status = output.only("CONNECTION_STATUS")
        assert status["status"] == "FAILED" and status["message"]
        assert output.code == 0

    def test_keys_with_an_underscore_do_not_matter(self, connector, config):
        """The older suite puts such keys into every config."""
        output = connector.check(config | {"_limit": 10, "_page_size": "ten", "__injected": {}})
        assert output.only("CONNECTION_STATUS")["status"] == "SUCCEEDED"


class TestDiscover:
    def test_it_promises_what_the_design_promises(self, catalog):
        promised = {}
        for stream in catalog["streams"]:
            keys = [path for [path] in stream["source_defined_primary_key"]]
            cursor = stream.get("default_cursor_field")
            promised[stream["name"]] = (keys, cursor[0] if cursor else None)
        assert promised == STREAMS

    def test_nothing_extra_is_offered_to_those_who_do_not_ask(self, connector, config, catalog):
        for nothing in ({}, {"extra_streams": []}, {"extra_streams": None}):
            asked = {name: value for name, value in config.items() if name != "extra_streams"} | nothing
            streams = connector.discover(asked).only("CATALOG")["streams"]
            assert streams == [s for s in catalog["streams"] if s["name"] in OFFERED]

    def test_sync_modes_follow_the_cursor(self, catalog):
        for stream in catalog["streams"]:
            modes = ["full_refresh", "incremental"] if stream["name"] in INCREMENTAL else ["full_refresh"]
            assert stream["supported_sync_modes"] == modes
            assert bool(stream.get("source_defined_cursor")) == (stream["name"] in INCREMENTAL)

    def test_top_levels_are_open_and_leaves_nullable(self, catalog):
        for stream in catalog["streams"]:
            schema = stream["json_schema"]
            assert schema["type"] == "object" and schema["additionalProperties"] is True
            never_null = {*STREAMS[stream["name"]][0], STREAMS[stream["name"]][1]}
            for name, leaf in schema["properties"].items():
                assert "null" in leaf["type"] or name in never_null, (stream["name"], name)
                # With two types of values, clients fall back to strings.
                types = leaf["type"] if isinstance(leaf["type"], list) else [leaf["type"]]
                assert len(set(types) - {"null"}) == 1, (stream["name"], name)

    def test_twice_the_same(self, connector, config, catalog):
        assert connector.discover(config).only("CATALOG") == catalog


class TestFullRefresh:
    @pytest.mark.parametrize("stream", STREAMS)
    def test_two_reads_give_the_same_records(self, first, second, stream):
        assert as_set(first.records(stream)) == as_set(second.records(stream))
        assert len(first.records(stream)) == len(second.records(stream))

    def test_the_second_read_is_later(self, first, second):
        newest = max(r["emitted_at"] for r in first.of_type("RECORD"))
        assert all(r["emitted_at"] > newest for r in second.of_type("RECORD"))

    @pytest.mark.parametrize("stream", STREAMS)
    def test_keys_are_there_scalar_and_unique(self, first, stream):
        keys = [key_of(stream, record) for record in first.records(stream)]
        assert len(set(keys)) == len(keys) > 0
        # A track without a name or a layer has an empty one.
        may_be_empty = stream == "peer_quality"
        assert all(isinstance(part, str) and (part or may_be_empty) for key in keys for part in key)

    @pytest.mark.parametrize("stream", STREAMS)
    def test_statuses_come_in_order(self, first, stream):
        started, *running, complete = first.statuses(stream)
        assert (started, set(running), complete) == ("STARTED", {"RUNNING"}, "COMPLETE")

    @pytest.mark.parametrize("stream", STREAMS)
    def test_the_last_state_comes_between_records_and_complete(self, first, stream):
        order = [kind for kind in (what_of(m, stream) for m in first.messages) if kind]
        assert order[-2:] == ["STATE", "COMPLETE"]

    @pytest.mark.parametrize("stream", STREAMS)
    def test_every_state_counts_exactly(self, first, stream):
        assert_exact_counts(first, stream)

    @pytest.mark.parametrize("stream", [s for s in STREAMS if s not in INCREMENTAL])
    def test_streams_without_a_cursor_say_so(self, first, stream):
        assert first.states(stream)[-1]["stream"]["stream_state"] == NO_CURSOR


class TestCatalog:
    def test_an_unknown_mode_is_an_error(self, connector, config, catalog):
        chosen = configured(catalog)
        for stream in chosen["streams"]:
            stream |= {"sync_mode": "INVALID", "destination_sync_mode": "INVALID"}
        output = connector.read(config, chosen)
        assert output.code != 0 and output.errors() and not output.of_type("RECORD")

    def test_no_stream_is_no_error(self, connector, config):
        output = connector.read(config, {"streams": []})
        assert output.code == 0 and not output.errors() and not output.of_type("RECORD")

    def test_nulls_for_everything_optional(self, connector, config, catalog, first):
        chosen = configured(catalog)
        optional = ["cursor_field", "primary_key", "generation_id", "minimum_generation_id", "sync_id"]
        for stream in chosen["streams"]:
            stream |= dict.fromkeys(optional) | {"destination_object_name": None, "suggested": None}
            stream["stream"] |= {"namespace": None, "is_file_based": None}
        output = connector.read(config, chosen)
        assert all(as_set(output.records(s)) == as_set(first.records(s)) for s in STREAMS)

    def test_an_empty_schema_selects_all_fields(self, connector, config, catalog, first):
        chosen = configured(catalog)
        for stream in chosen["streams"]:
            stream["stream"] = stream["stream"] | {"json_schema": {}}
        output = connector.read(config, chosen)
        for stream in STREAMS:
            assert set(output.records(stream)[0]) <= set(first.records(stream)[0])
            assert len(output.records(stream)) == len(first.records(stream))

    @pytest.mark.parametrize("stream", STREAMS)
    def test_a_narrowed_schema_selects_its_fields(self, connector, config, catalog, stream):
        chosen = configured(catalog, only=[stream])
        key, cursor = STREAMS[stream]
        kept = {*key, *([cursor] if cursor else [])}
        schema = chosen["streams"][0]["stream"]["json_schema"]
        narrowed = {name: leaf for name, leaf in schema["properties"].items() if name in kept}
        chosen["streams"][0]["stream"] |= {"json_schema": schema | {"properties": narrowed}}
        output = connector.read(config, chosen)
        assert output.records(stream) and all(set(r) == kept for r in output.records(stream))

    @pytest.mark.parametrize("stream", STREAMS)
    def test_one_stream_alone(self, connector, config, catalog, first, stream):
        output = connector.read(config, configured(catalog, only=[stream]))
        assert {r["stream"] for r in output.of_type("RECORD")} == {stream}
        assert as_set(output.records(stream)) == as_set(first.records(stream))


def what_of(message: dict, stream: str) -> str | None:
    """RECORD, STATE, or the status, if the message is one of the stream's."""
    if message["type"] == "RECORD":
        return "RECORD" if message["record"]["stream"] == stream else None
    if message["type"] == "STATE":
        name = message["state"]["stream"]["stream_descriptor"]["name"]
        return "STATE" if name == stream else None
    status = message.get("trace", {}).get("stream_status")
    if status and status["stream_descriptor"]["name"] == stream:
        return status["status"]
    return None


def assert_exact_counts(output, stream: str) -> None:
    since_last = 0
    for message in output.messages:
        what = what_of(message, stream)
        since_last += what == "RECORD"
        if what == "STATE":
            assert message["state"]["sourceStats"]["recordCount"] == since_last
            since_last = 0
    assert since_last == 0, "records after the last STATE"
