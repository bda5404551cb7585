"""The queries of docs/queries on rows made by hand: what no fake workspace holds, and very large sessions.

PostgreSQL has the types of Airbyte's destination here, and those of PyAirbyte in test_queries.py.
"""

import datetime
import random
import statistics
from collections import Counter

import pytest

from postgres import Postgres
from test_queries import assert_same
from warehouse import DuckDb, PostgreSql, Translated

NOON = datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC)
PERIOD = {"since": datetime.datetime(2025, 3, 1), "until": datetime.datetime(2025, 3, 2)}
PEERS = 10_000

SESSIONS = {
    "id": "text", "room_id": "text", "app_id": "text", "active": "flag", "created_at": "time",
    "started_at": "time", "stopped_at": "time", "ended_at": "time", "duration": "number", "peers": "json",
}  # fmt: skip
ROOMS = {"id": "text", "name": "text", "region": "text"}
EVENTS = {
    "id": "text", "type": "text", "created_at": "time", "room_id": "text", "session_id": "text",
    "peer_id": "text", "user_id": "text", "data": "json",
}  # fmt: skip
RECORDINGS = {
    "id": "text", "room_id": "text", "session_id": "text", "status": "text", "started_at": "time",
    "stopped_at": "time", "started_by": "text", "stopped_by": "text",
}  # fmt: skip
WEBHOOK_EVENTS = {
    "id": "text", "type": "text", "created_at": "time", "room_id": "text", "session_id": "text",
    "peer_id": "text", "user_id": "text", "delivery": "text", "error_reason": "text", "webhook_url": "text",
    "data": "json",
}  # fmt: skip
PEER_QUALITY = {
    "session_id": "text", "peer_id": "text", "room_id": "text", "direction": "text", "kind": "text",
    "track_id": "text", "rid": "text", "started_at": "time", "samples": "whole", "time_series": "json",
}  # fmt: skip
ACTIVE_ROOM_PEERS = {
    "id": "text", "room_id": "text", "session_id": "text", "user_id": "text", "_airbyte_extracted_at": "time",
}  # fmt: skip


def seconds(number: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=number)


def row(columns: dict, **values: object) -> dict:
    return dict.fromkeys(columns) | values


def naive(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(tzinfo=None)


def written(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture(scope="module")
def duckdb_tables(tmp_path_factory):
    # Far less than a session of 10,000 peers takes if all of it is carried along with each peer: over 6 GB.
    return DuckDb(tmp_path_factory.mktemp("made") / "made.duckdb", memory_limit="512MB")


@pytest.fixture(scope="module")
def postgresql_tables(postgres: Postgres):
    return PostgreSql(postgres.create("made"))


@pytest.fixture(params=["duckdb", "postgresql"])
def tables(request):
    return request.getfixturevalue(f"{request.param}_tables")


@pytest.fixture(params=["duckdb", "postgresql", "bigquery", "snowflake"])
def make_and_ask(request):
    """Makes the tables, and asks in the SQL of each database."""

    def run(name: str, parameters: dict, **tables: tuple) -> list[dict]:
        runs = request.param in ("duckdb", "postgresql")
        database = request.getfixturevalue(f"{request.param if runs else 'duckdb'}_tables")
        for table, (columns, rows) in tables.items():
            moments = [column for column, kind in columns.items() if kind == "time"]
            if database.dialect == "duckdb":  # PyAirbyte keeps no zone there
                rows = [r | {m: r[m] and naive(r[m]) for m in moments} for r in rows]
            database.create(table, columns, rows)
        return (database if runs else Translated(request.param, database)).ask(name, **parameters)

    return run


class TestLargeSession:
    """One session of 10,000 peers: an event. The whole session must not be carried along with each peer."""

    @pytest.fixture(scope="class")
    def stays(self) -> list[tuple[float, float]]:
        dice = random.Random(1)
        joins = [round(dice.uniform(0, 3600), 6) for _ in range(PEERS)]
        return [(joined, round(joined + dice.uniform(1, 5000), 6)) for joined in joins]

    @pytest.fixture(scope="class")
    def peers(self, stays) -> list[dict]:
        return [
            {
                "id": f"peer-{number}",
                "session_id": "large",
                "name": f"Somebody {number}",
                "role": "viewer",
                # Every tenth came back once.
                "user_id": f"user-{number - number % 10 // 9}",
                "user": None,
                "metadata": '{"seat": "' + "x" * 200 + '"}',
                "joined_at": written(NOON + seconds(joined)),
                "left_at": written(NOON + seconds(left)),
                "duration": left - joined,
            }
            for number, (joined, left) in enumerate(stays)
        ]

    @pytest.fixture
    def ask(self, tables, peers):
        end = NOON + seconds(9000)
        times = {"created_at": NOON, "started_at": NOON, "stopped_at": end}
        if tables.dialect == "duckdb":
            times = {name: naive(time) for name, time in times.items()}
        session = row(
            SESSIONS, id="large", room_id="stage", app_id="app", active=False, duration=9000, peers=peers, **times
        )
        tables.create("sessions", SESSIONS, [session])
        tables.create("rooms", ROOMS, [row(ROOMS, id="stage", name="Stage", region="eu")])
        tables.create("analytics_events", EVENTS, [])
        tables.create("recordings", RECORDINGS | {"created_at": "time"}, [])
        return tables.ask

    def test_peak_concurrency(self, ask, stays):
        [found] = ask("peak_concurrency", **PERIOD)
        starts, ends = sorted(joined for joined, _ in stays), sorted(left for _, left in stays)
        peak = max(number + 1 - sum(end <= start for end in ends) for number, start in enumerate(starts[::1]))
        assert found["peak"] == peak > PEERS / 3

    def test_room_participation(self, ask, stays):
        lengths = [left - joined for joined, left in stays]
        early = sum(length < 600 for length in lengths)
        expected = {
            "room_id": "stage",
            "room_name": "Stage",
            "sessions": 1,
            "joins": PEERS,
            "people": PEERS * 9 // 10,
            "median_stay_seconds": statistics.median(lengths),
            "left_early": early,
            "early_share": early / PEERS,
        }
        assert_same(ask("room_participation", early_seconds=600, **PERIOD), [expected])

    def test_volume_and_participants(self, ask, stays):
        minutes = sum(left - joined for joined, left in stays) / 60
        [volume] = ask("session_volume", **PERIOD)
        assert (volume["joins"], volume["participant_minutes"]) == (PEERS, pytest.approx(minutes, abs=0.01))
        [session] = ask("session_participants", **PERIOD)
        assert (session["participants"], session["joins"]) == (PEERS * 9 // 10, PEERS)
        people = ask("participant_minutes", **PERIOD)
        assert len(people) == PEERS * 9 // 10
        assert sum(person["minutes"] for person in people) == pytest.approx(minutes, abs=0.01 * PEERS)
        [region] = ask("region_usage", **PERIOD)
        assert region["participant_minutes"] == pytest.approx(minutes, abs=0.01)

    def test_lookup(self, ask):
        found = Counter(line["what"] for line in ask("session_lookup", session_id="large"))
        assert found == {"session created": 1, "session stopped": 1, "joined": PEERS, "left": PEERS}


def test_engagement_funnel_counts_who_joined_and_only_listened(make_and_ask):
    people = {
        "listener": ["peer.join", "peer.leave"],
        "speaker": ["peer.join", "track.add.success"],
        "dropped": ["peer.join", "track.add.success", "client.disconnected"],
        "second try": ["client.join.failed", "peer.join", "track.add.success"],
        "no camera": ["peer.join", "client.publish.failed"],
        "turned away": ["client.connect.failed"],
        "there before": ["track.add.success", "peer.leave"],
    }
    events = [
        row(EVENTS, id=f"{person} {number}", type=kind, created_at=NOON, room_id="r", peer_id=person, user_id="")
        for person, kinds in people.items()
        for number, kind in enumerate(kinds)
    ]
    events.append(row(EVENTS, id="nobody", type="peer.join", created_at=NOON, room_id="r"))
    events.append(row(EVENTS, id="other", type="peer.join", created_at=NOON, room_id="other", peer_id="other"))
    found = make_and_ask("engagement_funnel", PERIOD | {"room_id": "r"}, analytics_events=(EVENTS, events))
    assert_same(found, [
        {"step": 1, "stage": "tried", "people": 6, "share": 1.0},
        {"step": 2, "stage": "joined", "people": 5, "share": 5 / 6},
        {"step": 3, "stage": "published", "people": 3, "share": 0.5},
        {"step": 4, "stage": "no failure", "people": 2, "share": 2 / 6},
        {"step": 5, "stage": "no drop", "people": 1, "share": 1 / 6},
    ])  # fmt: skip


def test_concurrency_over_time(make_and_ask):
    """Two syncs five minutes apart, each of which took seconds to write; between them nobody was in a call."""
    seen = {
        0.0: ("r1", "a", "ann"),
        1.5: ("r1", "b", None),
        3.0: ("r2", "c", "ann"),
        300.0: ("r1", "a", "ann"),
        301.0: ("r1", "d", ""),
        # The same peer stands twice where a sync was tried again at once.
        302.0: ("r1", "d", ""),
    }
    rows = [
        row(ACTIVE_ROOM_PEERS, id=peer, room_id=room, user_id=user, _airbyte_extracted_at=NOON + seconds(after))
        for after, (room, peer, user) in seen.items()
    ]
    parameters = PERIOD | {"gap_seconds": 60}
    found = make_and_ask("concurrency_over_time", parameters, active_room_peers=(ACTIVE_ROOM_PEERS, rows))
    assert_same(found, [
        {"looked_at": naive(NOON), "peers": 3, "people": 2, "rooms": 2},
        {"looked_at": naive(NOON + seconds(300)), "peers": 2, "people": 2, "rooms": 1},
    ])  # fmt: skip


@pytest.mark.parametrize(("room", "expected"), [
    ("", [("reason a", 3, 2, 0.6), ("(none)", 1, 1, 0.2), ("reason b", 1, 1, 0.2)]),
    ("r2", [("reason b", 1, 1, 1.0)]),
])  # fmt: skip
def test_leave_reasons(make_and_ask, room, expected):
    leave = "peer.leave.success"
    told = [
        # (id, type, seconds, room, peer, user, reason)
        ("1", leave, 0, "r1", "p1", "ann", "reason a"),
        ("2", leave, 1, "r1", "p2", "ann", "reason a"),
        ("3", leave, 2, "r1", "p3", None, "reason a"),
        # Delivered a second time, with what was known then.
        ("4", leave, 3, "r1", "p4", "bob", "reason b"),
        ("5", leave, 9, "r1", "p4", "bob", None),
        ("6", leave, 4, "r2", "p5", "", "reason b"),
        ("7", "peer.join.success", 4, "r2", "p5", "", "not a leave"),
        ("8", leave, 86400, "r2", "p6", "", "a day later"),
    ]
    rows = [
        row(WEBHOOK_EVENTS, id=id, type=kind, created_at=NOON + seconds(after), room_id=room_id, peer_id=peer,
            user_id=user, delivery="succeeded", data={"reason": reason, "duration": 5})
        for id, kind, after, room_id, peer, user, reason in told
    ]  # fmt: skip
    found = make_and_ask("leave_reasons", PERIOD | {"room_id": room}, webhook_events=(WEBHOOK_EVENTS, rows))
    names = ["reason", "leaves", "people", "share"]
    assert_same(found, [dict(zip(names, values, strict=True)) for values in expected])


def test_quality_by_room(make_and_ask):
    def track(room: str, peer: str, after: float, loss: list | None, rtt: list | None) -> dict:
        series = {"timestamps": list(range(len(loss or rtt or [])))}
        series |= {} if loss is None else {"packet_loss_percent": loss}
        series |= {} if rtt is None else {"rtt_ms": rtt}
        return row(
            PEER_QUALITY, session_id=f"session of {room}", peer_id=peer, room_id=room, direction="publish", kind="video",
            track_id=f"{peer} {after}", started_at=NOON + seconds(after), samples=len(series["timestamps"]),
            time_series=series,
        )  # fmt: skip

    tracks = [
        track("r1", "p1", 0, [0, 5, 5.1, None], [10, 20, 30, None]),
        track("r1", "p2", 60, [6, 0], [40, 50]),
        track("r1", "p2", 70, None, [60]),
        track("r2", "p3", 0, [0.5], None),
        track("r2", "p3", 86400, [50], [1]),
    ]
    found = make_and_ask(
        "quality_by_room", PERIOD | {}, peer_quality=(PEER_QUALITY, tracks),
        rooms=(ROOMS, [row(ROOMS, id="r1", name="One")]),
    )  # fmt: skip
    day = NOON.date()
    assert_same(found, [
        {"room_id": "r1", "room_name": "One", "day": day, "sessions": 1, "peers": 2, "tracks": 3, "samples": 7,
         "lossy_share": 2 / 5, "rtt_ms_p95": 57.5},
        {"room_id": "r2", "room_name": None, "day": day, "sessions": 1, "peers": 1, "tracks": 1, "samples": 1,
         "lossy_share": 0.0, "rtt_ms_p95": None},
    ])  # fmt: skip
