"""The tables of analytics/dbt, built on what PyAirbyte loaded into DuckDB and PostgreSQL.

Every answer is computed a second time, in Python and from the fake's own truth: the newest version of every record
that was ever read.
"""

import datetime
import json
import re
import statistics
import subprocess
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlglot
import yaml
from sqlglot import exp

from connector import OFFERED, STREAMS, key_of
from pages import blocks, section
from warehouse import PACKAGE, TIME_ZONE, DuckDb, PostgreSql, run_dbt

MARTS = {path.stem for path in (PACKAGE / "models/marts").glob("*.sql")}
HOUR = datetime.timedelta(hours=1)
EARLY = 5
FAILED = re.compile(r"client\.\w+\.failed")


def time(text: str | None) -> datetime.datetime | None:
    """A time as the tables have it: in UTC, and without saying so."""
    return text and datetime.datetime.fromisoformat(text).replace(tzinfo=None)


def minutes(start: datetime.datetime, end: datetime.datetime) -> float:
    return (end - start).total_seconds() / 60


def full_hour(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def group(items, key) -> dict:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


class Truth:
    """The records by stream, and what follows from them for every stay."""

    def __init__(self, truths: tuple[dict, dict]):
        for stream in STREAMS:
            records = {key_of(stream, r): r for truth in truths for r in truth[stream].values()}
            setattr(self, stream, list(records.values()))
        self.now = truths[1]
        self.room = {room["id"]: room for room in self.rooms}
        self.template = {template["id"]: template for template in self.templates}
        peers = [(session, peer) for session in self.sessions for peer in session["peers"]]
        moments = [peer[name] for _, peer in peers for name in ("joined_at", "left_at") if peer[name]]
        self.as_of = max(map(time, moments + [session["updated_at"] for session in self.sessions]))
        self.stays = [self.stay(session, peer) for session, peer in peers]
        joined = group(self.stays, lambda s: (s["session_id"], s["person"]))
        for stays in joined.values():
            for number, stay in enumerate(sorted(stays, key=lambda s: (s["joined_at"], s["peer_id"])), 1):
                stay["join_number"] = number
        self.failures = [e for e in self.analytics_events if FAILED.fullmatch(e["type"]) or e["type"] == "client.disconnected"]

    def stay(self, session: dict, peer: dict) -> dict:
        joined, left = time(peer["joined_at"]), time(peer["left_at"])
        until = max(joined, left or time(session["stopped_at"]) or self.as_of)
        return {
            "stay_id": f"{session['id']}:{peer['id']}",
            "session_id": session["id"],
            "peer_id": peer["id"],
            "person": peer["user_id"] or peer["id"],
            "called": peer["name"] or peer["user_id"] or f"somebody ({peer['id'][:8]})",
            "app_id": session["app_id"],
            "room_id": session["room_id"],
            "joined_at": joined,
            "left_at": left,
            "present_until": until,
            "ending": "left" if left else "still in" if session["active"] else "session ended",
            "minutes": minutes(joined, until),
            "left_early": left is not None and minutes(joined, left) < EARLY,
        }  # fmt: skip

    def template_of(self, room_id: str | None) -> str:
        return (self.room.get(room_id) or {}).get("template_id") or "(none)"

    def should_record(self, room_id: str) -> bool:
        room = self.room.get(room_id) or {}
        if room.get("recording_source_template"):
            settings = (self.template.get(room["template_id"]) or {}).get("settings") or {}
            return bool((settings.get("recording") or {}).get("enabled"))
        return bool((room.get("recording_info") or {}).get("enabled"))

    def outcome(self, recording: dict) -> str:
        if recording["status"] == "completed" and not self.files(recording):
            return "completed without a file"
        return recording["status"] if recording["status"] in ("completed", "failed") else "in progress"

    def files(self, recording: dict) -> list[dict]:
        return [file for file in recording["recording_assets"] or [] if file["status"] == "completed"]

    def known_rooms(self) -> set[str]:
        streams = (self.sessions, self.recordings, self.analytics_events)
        return {*self.room, *(r["room_id"] for records in streams for r in records if r["room_id"])}


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def synced(request):
    return request.getfixturevalue("synced_twice_into_postgres" if request.param == "postgresql" else "synced_twice")


@pytest.fixture(scope="module")
def truth(synced):
    return Truth(synced.truths)


@pytest.fixture(scope="module")
def rows(synced):
    return lambda model: synced.warehouse.query(f"SELECT * FROM analytics.{model}")


def assert_same(found: list[dict], expected: dict, *key: str) -> None:
    """The rows have these keys, and in the columns that are computed here the same values."""
    by_key = {tuple(row[name] for name in key) if key[1:] else row[key[0]]: row for row in found}
    assert len(by_key) == len(found) > 0
    assert by_key.keys() == expected.keys()
    for place, columns in expected.items():
        for name, value in columns.items():
            assert by_key[place][name] == close_to(value), (place, name, by_key[place], columns)


def close_to(value: object):
    return pytest.approx(value, abs=0.0006) if isinstance(value, float) else value


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def test_dbt_builds_after_the_first_sync_and_after_the_next(synced):
    for build in synced.builds:
        assert build.returncode == 0, build.stdout + build.stderr
        assert re.search(r"PASS=\d+ WARN=0 ERROR=0 SKIP=0", build.stdout), build.stdout
        assert "Deprecat" not in build.stdout


def test_participants(rows, truth):
    assert_same(rows("participants"), {stay["stay_id"]: stay for stay in truth.stays}, "stay_id")
    assert {row["ending"] for row in rows("participants")} >= {"left", "still in"}


def test_sessions_enriched(rows, truth):
    stays = group(truth.stays, lambda s: s["session_id"])
    recordings = group(truth.recordings, lambda r: r["session_id"])
    failures = group(truth.failures, lambda e: e["session_id"])
    expected = {}
    for session in truth.sessions:
        here = stays[session["id"]]
        joins, ends = sorted(s["joined_at"] for s in here), sorted(s["present_until"] for s in here)
        outcomes = [truth.outcome(r) for r in recordings[session["id"]]]
        if outcomes:
            outcome = "recorded" if "completed" in outcomes else "in progress" if "in progress" in outcomes else "failed"
        elif not truth.should_record(session["room_id"]):
            outcome = "not asked for"
        else:
            outcome = "not yet" if session["active"] else "missing" if here else "nobody came"
        kinds = Counter(e["type"] == "client.disconnected" for e in failures[session["id"]])
        expected[session["id"]] = {
            "day": time(session["started_at"]).date(),
            "is_live": session["active"],
            "minutes": session["duration"] and session["duration"] / 60,
            "room_name": (truth.room.get(session["room_id"]) or {}).get("name"),
            "joins": len(here),
            "people": len({s["person"] for s in here}),
            "peak_people": max((bisect_right(joins, m) - bisect_right(ends, m) for m in joins), default=0),
            "people_in": sum(s["ending"] == "still in" for s in here),
            "participant_minutes": sum((s["minutes"] for s in here), 0.0),
            "failures": kinds[False],
            "disconnects": kinds[True],
            "recordings": len(outcomes),
            "recording_outcome": outcome,
        }  # fmt: skip
    assert_same(rows("sessions_enriched"), expected, "session_id")
    assert {"recorded", "failed", "missing"} <= {row["recording_outcome"] for row in expected.values()}


def test_daily_usage(rows, truth):
    place = lambda s: (time(s["started_at"]).date(), s["app_id"], s["room_id"])  # noqa: E731
    stays = group(truth.stays, lambda s: s["session_id"])
    expected = {}
    for key, sessions in group(truth.sessions, place).items():
        here = [stay for session in sessions for stay in stays[session["id"]]]
        expected[key] = {
            "sessions": len(sessions),
            "live_sessions": sum(s["active"] for s in sessions),
            "region": (truth.room.get(key[2]) or {}).get("region"),
            "joins": len(here),
            "people": len({s["person"] for s in here}),
            "session_minutes": sum((s["duration"] or 0.0 for s in sessions), 0.0) / 60,
            "participant_minutes": sum((s["minutes"] for s in here), 0.0),
        }  # fmt: skip
    assert_same(rows("daily_usage"), expected, "day", "app_id", "room_id")


def test_hourly_concurrency(rows, truth):
    joins, ends = sorted(s["joined_at"] for s in truth.stays), sorted(s["present_until"] for s in truth.stays)
    moments = group(joins, full_hour)
    spent = Counter()
    for stay in truth.stays:
        hour = full_hour(stay["joined_at"])
        while hour < stay["present_until"]:
            spent[hour] += minutes(max(hour, stay["joined_at"]), min(hour + HOUR, stay["present_until"]))
            hour += HOUR
    people = lambda moment: bisect_right(joins, moment) - bisect_right(ends, moment)  # noqa: E731
    expected, hour = {}, full_hour(joins[0])
    while hour <= ends[-1]:
        peak = max(people(moment) for moment in [hour, *moments[hour]])
        expected[hour] = {
            "peak_people": peak,
            "peak_at": min(m for m in [hour, *moments[hour]] if people(m) == peak),
            "participant_minutes": float(spent[hour]),
            "weekday": hour.isoweekday(),
            "hour_of_day": hour.hour,
        }  # fmt: skip
        hour += HOUR
    assert_same(rows("hourly_concurrency"), expected, "hour")


def test_room_participation(rows, truth):
    sessions, stays = group(truth.sessions, lambda s: s["room_id"]), group(truth.stays, lambda s: s["room_id"])
    expected = {}
    for room_id in truth.known_rooms():
        left = [s["minutes"] for s in stays[room_id] if s["ending"] == "left"]
        early = sum(s["left_early"] for s in stays[room_id])
        expected[room_id] = {
            "room_name": (truth.room.get(room_id) or {}).get("name"),
            "sessions": len(sessions[room_id]),
            "sessions_with_people": sum(bool(s["peers"]) for s in sessions[room_id]),
            "joins": len(stays[room_id]),
            "people": len({s["person"] for s in stays[room_id]}),
            "median_minutes": statistics.median(left) if left else None,
            "left_early": early,
            "early_share": share(early, len(left)),
        }  # fmt: skip
    assert_same(rows("room_participation"), expected, "room_id")


def test_template_performance(rows, truth):
    rooms = group(truth.known_rooms(), truth.template_of)
    sessions, stays, recordings = (
        group(records, lambda r: truth.template_of(r["room_id"])) for records in (truth.sessions, truth.stays, truth.recordings)
    )
    failed = Counter(e["session_id"] for e in truth.failures if e["type"] != "client.disconnected")
    destinations = Counter(d["template_id"] for d in truth.templates_destinations)
    expected = {}
    for template in {*truth.template, *rooms}:
        left = [s["minutes"] for s in stays[template] if s["ending"] == "left"]
        outcomes = Counter(truth.outcome(r) for r in recordings[template])
        known = truth.template.get(template)
        expected[template] = {
            "template_name": known and known["name"],
            "roles": known and len(known["roles"]),
            "destinations": destinations[template],
            "rooms": len(rooms[template]),
            "open_rooms": sum((truth.room.get(r) or {}).get("enabled") or False for r in rooms[template]),
            "used_rooms": len({s["room_id"] for s in sessions[template]}),
            "sessions": len(sessions[template]),
            "session_hours": sum((s["duration"] or 0.0 for s in sessions[template]), 0.0) / 3600,
            "people": len({s["person"] for s in stays[template]}),
            "median_minutes": statistics.median(left) if left else None,
            "early_share": share(sum(s["left_early"] for s in stays[template]), len(left)),
            "failures": sum(failed[s["id"]] for s in sessions[template]),
            "recordings": len(recordings[template]),
            "recording_success": share(outcomes["completed"], outcomes.total() - outcomes["in progress"]),
        }  # fmt: skip
    assert_same(rows("template_performance"), expected, "template_id")


def test_recordings_and_their_files(rows, truth):
    expected = {
        r["id"]: {
            "outcome": truth.outcome(r),
            "minutes": r["duration"] and r["duration"] / 60,
            "files": len(truth.files(r)),
            "bytes": sum(file["size"] or 0 for file in truth.files(r)),
            "session_id": r["session_id"],
            "created_at": time(r["created_at"]),
        }
        for r in truth.recordings
    }  # fmt: skip
    assert_same(rows("recordings_enriched"), expected, "recording_id")
    assert {"completed", "completed without a file", "failed", "in progress"} == {r["outcome"] for r in expected.values()}
    files = {
        f["id"]: {"recording_id": r["id"], "type": f["type"], "status": f["status"], "bytes": f["size"], "created_at": time(f["created_at"])}
        for r in truth.recordings
        for f in r["recording_assets"] or []
    }
    assert_same(rows("recording_files"), files, "file_id")


def test_failures(rows, truth):
    expected = {}
    for event in truth.failures:
        error = event["data"].get("error") or {}
        expected[event["id"]] = {
            "failed_at": time(event["created_at"]),
            "session_id": event["session_id"],
            "room_id": event["room_id"],
            "person": event["user_id"] or event["peer_id"] or None,
            "error_name": error.get("name"),
            "error_code": error.get("code") and str(error["code"]),
            "reason": error.get("description") or event["data"].get("reason"),
        }  # fmt: skip
    assert_same(rows("failures"), expected, "event_id")


def test_failures_by_hour(rows, truth):
    moments = sorted(time(e["created_at"]) for e in truth.analytics_events)
    failures = Counter(full_hour(time(e["created_at"])) for e in truth.failures if e["type"] != "client.disconnected")
    joins = Counter(full_hour(time(e["created_at"])) for e in truth.analytics_events if e["type"] == "peer.join")
    hours = [full_hour(moments[0])]
    while hours[-1] + HOUR <= moments[-1]:
        hours.append(hours[-1] + HOUR)
    alike = group(hours, lambda hour: (hour.weekday(), hour.hour))
    expected = {}
    for hour in hours:
        others = [other for other in alike[hour.weekday(), hour.hour] if other != hour] or [h for h in hours if h != hour]
        usual = statistics.mean(failures[other] for other in others)
        count = failures[hour]
        expected[hour] = {
            "failures": count,
            "joins": joins[hour],
            "usual_failures": float(usual),
            "is_unusual": count >= 3 and count > usual + 3 * max(usual, 1) ** 0.5,
        }
    assert_same(rows("failures_by_hour"), expected, "hour")
    assert {True, False} == {row["is_unusual"] for row in expected.values()}


def test_engagement_funnel(rows, truth):
    failed_joins = {"client.connect.failed", "client.join.failed"}
    people = defaultdict(Counter)
    for event in truth.analytics_events:
        if person := event["user_id"] or event["peer_id"]:
            people[time(event["created_at"]).date(), event["room_id"], person][event["type"]] += 1
    expected = {}
    for key, types in people.items():
        if types["peer.join"] or types.keys() & failed_joins:
            broken = any(FAILED.fullmatch(kind) for kind in types)
            steps = [types["peer.join"], types["track.add.success"], not broken, not types["client.disconnected"]]
            expected[key] = {"last_step": 1 + [*map(bool, steps), False].index(False), "joins": types["peer.join"]}
    assert_same(rows("engagement_funnel"), expected, "day", "room_id", "person")


def test_session_timeline(rows, truth):
    """The number of lines of each kind, and the sentences of joins, leaves and failures."""
    found = rows("session_timeline")
    counts = Counter((row["session_id"], row["kind"]) for row in found)
    expected = Counter()
    for session in truth.sessions:
        expected[session["id"], "session"] = 1 + (session["stopped_at"] is not None)
    for stay in truth.stays:
        expected[stay["session_id"], "join"] += 1
        expected[stay["session_id"], "leave"] += stay["left_at"] is not None
    expected.update((e["session_id"], "failure") for e in truth.failures if e["session_id"])
    for kind in ("session", "join", "leave", "failure"):
        assert {k: n for k, n in counts.items() if k[1] == kind} == {k: n for k, n in expected.items() if k[1] == kind and n}
    sentences = Counter((row["session_id"], row["moment"], row["sentence"]) for row in found)
    roles = {peer["id"]: peer["role"] for session in truth.sessions for peer in session["peers"]}
    for stay in truth.stays:
        role = f" as {roles[stay['peer_id']]}" if roles[stay["peer_id"]] else ""
        again = f" (join {stay['join_number']})" if stay["join_number"] > 1 else ""
        assert sentences[stay["session_id"], stay["joined_at"], f"{stay['called']} joined{role}{again}."]
    for lines in group(found, lambda row: row["session_id"]).values():
        lines.sort(key=lambda row: row["line"])
        assert [row["moment"] for row in lines] == sorted(row["moment"] for row in lines)


def test_who_is_live(rows, truth):
    ended = {s["peer_id"] for s in truth.stays if s["left_at"]} | {
        peer["id"] for s in truth.sessions if not s["active"] for peer in s["peers"]
    }
    expected = {
        id: {"called": peer["name"] or peer["user_id"] or f"somebody ({id[:8]})", "joined_at": time(peer["joined_at"])}
        for id, peer in truth.now["active_room_peers"].items()
        if id not in ended
    }
    assert_same(rows("who_is_live"), expected, "peer_id")


def test_leave_reasons(rows, truth):
    newest = {}
    leaves = [e for e in truth.webhook_events if e["type"] == "peer.leave.success"]
    for event in sorted(leaves, key=lambda e: (time(e["created_at"]), [-ord(letter) for letter in e["id"]])):
        newest[event["peer_id"] or event["id"]] = {
            "reason": event["data"].get("reason") or "(none)",
            "left_at": time(event["created_at"]),
            "session_id": event["session_id"],
        }
    assert_same(rows("leave_reasons"), newest, "peer_id")
    assert len({row["reason"] for row in newest.values()}) > 2


def test_call_quality(rows, truth):
    expected = {}
    for (session, peer), tracks in group(truth.peer_quality, lambda t: (t["session_id"], t["peer_id"])).items():
        losses = {}
        for direction in ("publish", "subscribe"):
            measured = [t for t in tracks if t["direction"] == direction and t["packet_loss_percent_mean"] is not None]
            weight = sum(t["samples"] for t in measured)
            losses[direction] = sum(t["packet_loss_percent_mean"] * t["samples"] for t in measured) / weight if weight else None
        expected[f"{session}:{peer}"] = {
            "tracks": len(tracks),
            "samples": sum(t["samples"] for t in tracks),
            "sent_loss_percent": losses["publish"],
            "received_loss_percent": losses["subscribe"],
            "rtt_ms_p95": max((t["rtt_ms_p95"] for t in tracks if t["rtt_ms_p95"] is not None), default=None),
        }  # fmt: skip
    assert_same(rows("call_quality"), expected, "stay_id")


def test_loaded_streams(rows, truth):
    expected = {stream: {"records": len(getattr(truth, stream))} for stream in STREAMS}
    assert_same(rows("loaded_streams"), expected, "stream")


def test_all_marts_were_compared(synced):
    tested = set(re.findall(r'rows\("(\w+)"\)', open(__file__).read()))
    # Rooms are behind the names in the others; snapshots have a unit test.
    assert MARTS - tested == {"rooms_enriched", "live_snapshots"}


PEERS = 10_000
NOON = datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC)
SESSIONS = "id text, room_id text, active boolean, created_at timestamptz, started_at timestamptz, stopped_at timestamptz, updated_at timestamptz, duration numeric, peers jsonb"


@pytest.fixture(scope="module")
def large_session() -> dict:
    """An event with 10,000 people: the whole session must not be carried along with each of them."""
    written = lambda seconds: (NOON + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: E731
    peers = [
        {
            "id": f"peer-{n}", "session_id": "large", "name": f"Somebody {n}", "role": "viewer",
            # Every tenth came back once.
            "user_id": f"user-{n - n % 10 // 9}", "user": None, "metadata": '{"seat": "' + "x" * 200 + '"}',
            "joined_at": written(n % 3600), "left_at": written(n % 3600 + 60 + n), "duration": 60 + n,
        }
        for n in range(PEERS)
    ]  # fmt: skip
    times = {"created_at": written(0), "started_at": written(0), "stopped_at": written(14000), "updated_at": written(14000)}
    return {"id": "large", "room_id": "stage", "active": False, "duration": 14000, "peers": peers} | times


def assert_large_session(database) -> None:
    [session] = database.query("SELECT * FROM analytics.sessions_enriched")
    assert (session["joins"], session["people"]) == (PEERS, PEERS * 9 // 10)
    assert session["participant_minutes"] == pytest.approx(sum(60 + n for n in range(PEERS)) / 60)
    assert session["started_at"] == NOON.replace(tzinfo=None)
    [room] = database.query("SELECT * FROM analytics.room_participation")
    assert (room["room_id"], room["left_early"]) == ("stage", 240)
    [[lines]] = [row.values() for row in database.query("SELECT count(*) FROM analytics.session_timeline")]
    assert lines == 2 * PEERS + 2


def seconds_of(build: subprocess.CompletedProcess, model: str) -> float:
    return float(re.search(rf"OK created sql table model \w+\.{model} .*\[(?:OK|SELECT \d+) in ([\d.]+)s\]", build.stdout)[1])


def test_a_large_session_in_files_in_a_project_as_the_page_says(large_session, root, tmp_path):
    """Where DuckDB may take far less memory than such a session once took, which was more than 6 GB."""
    packages, variables = map(yaml.safe_load, blocks(section((root / "docs/analytics.md").read_text(), "In your dbt project"), "yaml"))
    [package] = packages["packages"]
    variables["vars"]["source_100ms"]["rows_folder"] = str(tmp_path / "rows")
    (tmp_path / "rows").mkdir()
    # What was written first is not what counts, even if nothing says that it has changed since.
    lines = [large_session | {"active": True, "peers": []}, large_session]
    (tmp_path / "rows/sessions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "packages.yml").write_text(json.dumps({"packages": [{"local": str(root / package["subdirectory"])}]}))
    (tmp_path / "dbt_project.yml").write_text(json.dumps({"name": "theirs", "version": "1.0.0", "profile": "theirs"} | variables))
    output = {"type": "duckdb", "path": str(tmp_path / "made.duckdb"), "schema": "analytics", "settings": {"memory_limit": "512MB", "TimeZone": TIME_ZONE}}
    (tmp_path / "profiles.yml").write_text(json.dumps({"theirs": {"target": "duckdb", "outputs": {"duckdb": output}}}))
    database = DuckDb(tmp_path / "made.duckdb")
    installed = run_dbt("deps", database, project=tmp_path)
    assert installed.returncode == 0, installed.stdout
    build = run_dbt("build", database, project=tmp_path)
    assert build.returncode == 0, build.stdout
    assert_large_session(database)
    assert seconds_of(build, "participants") < 5
    streams = {row["stream"]: row["records"] for row in database.query("SELECT * FROM analytics.loaded_streams")}
    assert streams == dict.fromkeys([*OFFERED, "webhook_events", "peer_quality"], 0) | {"sessions": 1}


def test_a_large_session_as_a_destination_writes_it(large_session, postgres):
    """With times that have a zone, only one of the streams, and only some of its columns."""
    database = PostgreSql(postgres.create("made"))
    with psycopg.connect(database.url) as connection:
        rows = json.dumps([large_session])
        connection.execute(f"CREATE TABLE sessions AS SELECT * FROM jsonb_to_recordset('{rows}') AS rows ({SESSIONS})")
    build = run_dbt("run", database)
    assert build.returncode == 0, build.stdout
    assert_large_session(database)
    assert seconds_of(build, "participants") < 5


def test_the_columns_of_the_staging_models_are_those_of_the_schemas():
    done = subprocess.run([sys.executable, PACKAGE / "document_streams.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_freshness_and_the_docs_site(synced_twice):
    database = synced_twice.warehouse.database
    for command in ("source freshness", "docs generate"):
        done = run_dbt(command, database)
        assert done.returncode == 0, done.stdout


# Functions that sqlglot does not know by its own name, from the vendors' references. A function of another database
# would be a syntax error that nobody sees before a reader does.
KNOWN = {"bigquery": {"JSON_KEYS", "GENERATE_TIMESTAMP_ARRAY"}, "snowflake": {"OBJECT_KEYS", "SEQ4", "DAYOFWEEKISO"}}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of each database that cannot run here; both are compiled at the same time."""
    folders = {dialect: tmp_path_factory.mktemp(dialect) for dialect in KNOWN}
    compile_ = lambda dialect: run_dbt("compile", dialect, "--no-introspect", "--no-populate-cache", "--target-path", str(folders[dialect]))  # noqa: E731
    with ThreadPoolExecutor() as pool:
        for done in pool.map(compile_, KNOWN):
            assert done.returncode == 0, done.stdout
    return folders


@pytest.mark.parametrize("dialect", KNOWN)
def test_what_cannot_run_here_is_compiled_and_parsed(compiled, dialect):
    files = list((compiled[dialect] / "compiled/source_100ms/models").rglob("*.sql"))
    assert {path.stem for path in files} >= MARTS
    for path in files:
        [tree] = sqlglot.parse(path.read_text(), read=dialect)
        assert not list(tree.find_all(exp.Command)), path
        unknown = {node.name.upper() for node in tree.find_all(exp.Anonymous)}
        assert unknown <= KNOWN[dialect], path
        # A share of two counts is 0 where integers divide without a rest.
        assert not any(isinstance(division.this, exp.Count) for division in tree.find_all(exp.Div)), path


def test_the_page_names_every_table(root):
    page = (root / "docs/analytics.md").read_text()
    table = section(page, "Which table answers what")
    assert set(re.findall(r"`(\w+)`", table)) == MARTS - {"rooms_enriched", "loaded_streams"}


def test_the_diagram_of_the_page_has_the_relations_that_are_tested(root):
    page = section((root / "docs/analytics.md").read_text(), "In your dbt project")
    drawn = set(re.findall(r"^    (\w+) \S+ (\w+) : (\w+)$", page, re.MULTILINE))
    models = yaml.safe_load((PACKAGE / "models/marts/marts.yml").read_text())["models"]
    assert drawn == {
        (re.search(r"'(\w+)'|\((\w+)\)", test["relationships"]["arguments"]["to"])[1] or "", model["name"], column["name"])
        for model in models
        for column in model["columns"]
        for test in column.get("data_tests", [])
        if "relationships" in test
    }
