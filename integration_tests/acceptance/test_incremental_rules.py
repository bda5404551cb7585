"""Rules of the older acceptance suite for incremental reads, on a workspace of many checkpoints.

Its records spread over years, wider than every look-back, so that a read from a checkpoint that
is not the first can give fewer records than the whole.
"""

from datetime import datetime, timedelta

import pytest

from connector import INCREMENTAL, STREAMS, configured, key_of
from test_read_rules import as_set, assert_exact_counts

SAMPLES = 4
# Events can arrive up to an hour late, so their stream goes back that far. The older suite has a
# setting for such streams, too (`threshold_days`).
LOOK_BACK = {"analytics_events": timedelta(hours=1), "webhook_events": timedelta(hours=1)}


@pytest.fixture(scope="module")
def config(large_fake):
    # Every room is asked in each sync, so that every event can be compared: `auto` leaves late ones to a sweep.
    return large_fake.config() | {"analytics_rooms": "all"}


@pytest.fixture(scope="module")
def incremental(connector, config):
    return configured(connector.discover(config).only("CATALOG"), "incremental", only=INCREMENTAL)


@pytest.fixture(scope="module")
def first(connector, config, incremental):
    output = connector.read(config, incremental)
    assert output.code == 0 and not output.errors(), output
    return output


@pytest.fixture(scope="module")
def second(connector, config, incremental, first):
    return connector.read(config, incremental, first.final_state())


def cursors(output, stream: str) -> list[str]:
    return [record[STREAMS[stream][1]] for record in output.records(stream)]


def cursor_in(state: dict, stream: str) -> str:
    return state["stream"]["stream_state"][STREAMS[stream][1]]


def assert_none_is_older(output, state: dict, stream: str) -> None:
    since = datetime.fromisoformat(cursor_in(state, stream)) - LOOK_BACK.get(stream, timedelta())
    assert all(datetime.fromisoformat(cursor) >= since for cursor in cursors(output, stream))


@pytest.mark.parametrize("stream", INCREMENTAL)
class TestTwoReads:
    def test_the_first_gives_records_and_states(self, first, stream):
        assert first.records(stream) and first.states(stream)
        assert_exact_counts(first, stream)

    def test_no_record_is_newer_than_the_final_state(self, first, stream):
        assert max(cursors(first, stream)) <= cursor_in(first.states(stream)[-1], stream)

    def test_the_second_gives_nothing(self, second, stream):
        """Nothing has changed; the older suite asks for less than the first."""
        assert second.code == 0 and not second.records(stream) and second.states(stream)
        assert_exact_counts(second, stream)

    def test_the_cursor_does_not_go_back(self, first, second, stream):
        after = [cursor_in(output.states(stream)[-1], stream) for output in (first, second)]
        assert after == sorted(after)


@pytest.mark.parametrize("stream", INCREMENTAL)
def test_a_read_goes_on_from_sampled_checkpoints(connector, config, incremental, first, stream):
    """From checkpoint k come at least the records after it, and not the whole again."""
    only = {"streams": [s for s in incremental["streams"] if s["stream"]["name"] == stream]}
    everything = as_set(first.records(stream))
    for position in sample(checkpoints(first, stream)):
        state, behind, ahead = position
        output = connector.read(config, only, [state])
        assert output.code == 0, output
        again = as_set(output.records(stream))
        assert len(again) >= len(ahead) and as_set(ahead) <= again
        assert not behind or again != everything
        assert_none_is_older(output, state, stream)
        assert_exact_counts(output, stream)


def checkpoints(output, stream: str) -> list[tuple[dict, list, list]]:
    """Every distinct STATE of the stream, with the records written before and after it."""
    records = output.records(stream)
    found, written = [], 0
    for state in output.states(stream):
        written += int(state["sourceStats"]["recordCount"])
        if not found or found[-1][0]["stream"] != state["stream"]:
            found.append((state, records[:written], records[written:]))
    return found


def sample(found: list) -> list:
    """A few of them, evenly spread, the last one always; it is the only one of less than three."""
    if len(found) < 3:
        return found[-1:]
    return [found[i * (len(found) - 1) // (SAMPLES - 1)] for i in range(SAMPLES)]


def future_state_of(stream: str) -> dict:
    state = {STREAMS[stream][1]: "2099-01-01T00:00:00.000000Z"}
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": state}}


def test_a_state_in_the_future_reads_nothing(connector, config, incremental):
    state = [future_state_of(stream) for stream in INCREMENTAL]
    output = connector.read(config, incremental, state)
    assert output.code == 0 and not output.of_type("RECORD")
    for stream in INCREMENTAL:
        [kept] = [s for s in state if s["stream"]["stream_descriptor"]["name"] == stream]
        assert cursor_in(output.states(stream)[-1], stream) == cursor_in(kept, stream)


def test_after_changes_the_union_is_the_truth(connector, config, incremental, large_fake, first):
    """Last, because it changes the workspace: three rounds, each from the state of the one before."""
    newest = {s: {key_of(s, r): r for r in first.records(s)} for s in INCREMENTAL}
    state = first.final_state()
    for _ in range(3):
        large_fake.advance()
        output = connector.read(config, incremental, state)
        assert output.code == 0 and not output.errors(), output
        state = output.final_state()
        for stream in INCREMENTAL:
            newest[stream] |= {key_of(stream, r): r for r in output.records(stream)}
    truth = large_fake.truth()
    for stream in INCREMENTAL:
        expected = {key_of(stream, r): r for r in truth[stream].values()}
        assert set(newest[stream]) == set(expected)
        differing = [key for key, record in expected.items() if newest[stream][key] != record]
        assert not differing, (stream, differing[:3])
