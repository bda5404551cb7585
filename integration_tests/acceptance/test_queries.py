"""The queries of docs/queries, run on what PyAirbyte loaded into DuckDB and PostgreSQL.

Every answer is computed a second time, in Python and from the fake's own truth. It is what the
tables hold: the newest version of every record that was ever read. The queries for BigQuery and
Snowflake, which cannot run here, are translated for DuckDB by sqlglot and have to give the same.
"""

import datetime
import os
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

import pytest
import sqlglot

from connector import STREAMS, key_of
from pages import section
from warehouse import QUERIES, Translated

DAY = datetime.timedelta(days=1)


def time(text: str | None) -> datetime.datetime | None:
    """A time as the answers give it: in UTC, and without saying so."""
    return text and datetime.datetime.fromisoformat(text).replace(tzinfo=None)


def day(text: str) -> datetime.date:
    return time(text).date()


class Truth:
    """The records by stream, and the period that a query is asked about."""

    def __init__(self, truths: tuple[dict, dict]):
        for stream in STREAMS:
            records = {key_of(stream, r): r for truth in truths for r in truth[stream].values()}
            setattr(self, stream, list(records.values()))

    def started(self, period: dict) -> list[dict]:
        return [s for s in self.sessions if period["since"] <= time(s["started_at"]) < period["until"]]

    def recorded(self, period: dict) -> list[dict]:
        return [r for r in self.recordings if period["since"] <= time(r["created_at"]) < period["until"]]


@pytest.fixture(scope="module", params=["duckdb", "postgresql", "bigquery", "snowflake"])
def dialect(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def synced(request, dialect):
    fixture = "synced_twice_into_postgres" if dialect == "postgresql" else "synced_twice"
    return request.getfixturevalue(fixture)


@pytest.fixture(scope="module")
def ask(synced, dialect):
    database = synced.warehouse.database
    return (Translated(dialect, database) if dialect in ("bigquery", "snowflake") else database).ask


@pytest.fixture(scope="module")
def truth(synced):
    return Truth(synced.truths)


@pytest.fixture(scope="module")
def period(truth):
    """From the middle of all sessions to the day before the last: something lies on every side."""
    days = sorted(day(s["started_at"]) for s in truth.sessions)
    return {"since": midnight(days[len(days) // 2]), "until": midnight(days[-1])}


def midnight(date: datetime.date) -> datetime.datetime:
    return datetime.datetime(date.year, date.month, date.day)


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected) > 0
    for row, wanted in zip(found, expected, strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            assert row[name] == close_to(value), (name, row, wanted)


def close_to(value: object):
    """Shares and sizes have three digits, minutes and hours two."""
    return pytest.approx(value, abs=0.0051) if isinstance(value, float) else value


def group(items: list[dict], key) -> dict:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def test_session_volume(ask, truth, period):
    expected = []
    groups = group(truth.started(period), lambda s: (day(s["started_at"]), s["app_id"]))
    for (date, app), sessions in sorted(groups.items()):
        peers = [peer for s in sessions for peer in s["peers"]]
        expected.append({
            "day": date,
            "app_id": app,
            "sessions": len(sessions),
            "live": sum(s["active"] for s in sessions),
            "joins": len(peers),
            "session_minutes": sum(s["duration"] or 0 for s in sessions) / 60,
            "participant_minutes": sum(p["duration"] or 0 for p in peers) / 60,
        })  # fmt: skip
    assert_same(ask("session_volume", **period), expected)


def test_room_participation(ask, truth, period):
    early = 600
    names = {room["id"]: room["name"] for room in truth.rooms}
    expected = []
    for room, sessions in group(truth.started(period), lambda s: s["room_id"]).items():
        peers = [peer for s in sessions for peer in s["peers"]]
        left = [p["duration"] for p in peers if p["left_at"]]
        if peers:
            expected.append({
                "room_id": room,
                "room_name": names.get(room),
                "sessions": sum(bool(s["peers"]) for s in sessions),
                "joins": len(peers),
                "people": len({p["user_id"] or p["id"] for p in peers}),
                "median_stay_seconds": statistics.median(left) if left else None,
                "left_early": sum(stay < early for stay in left),
                "early_share": sum(stay < early for stay in left) / len(left) if left else None,
            })  # fmt: skip
    expected.sort(key=lambda row: (-row["joins"], row["room_id"]))
    assert_same(ask("room_participation", early_seconds=early, **period), expected)


def test_session_participants(ask, truth, period):
    expected = [
        {
            "session_id": s["id"],
            "room_id": s["room_id"],
            "started_at": time(s["started_at"]),
            "stopped_at": time(s["stopped_at"]),
            "participants": len({p["user_id"] or p["id"] for p in s["peers"]}),
            "joins": len(s["peers"]),
            "participant_minutes": sum(p["duration"] or 0 for p in s["peers"]) / 60,
        }
        for s in truth.started(period)
    ]
    expected.sort(key=lambda row: (row["started_at"], row["session_id"]))
    assert any(row["joins"] == 0 for row in expected)
    assert_same(ask("session_participants", **period), expected)


def test_participant_minutes(ask, truth, period):
    groups = defaultdict(list)
    for session in truth.sessions:
        for peer in session["peers"]:
            joined, left = time(peer["joined_at"]), time(peer["left_at"] or session["stopped_at"])
            if joined and period["since"] <= joined < period["until"]:
                seconds = (left - joined).total_seconds() if left else 0.0
                month = joined.date().replace(day=1)
                groups[month, peer["user_id"] or ""].append((session["id"], seconds))
    expected = [
        {
            "month": month,
            "user_id": user,
            "sessions": len({session for session, _ in stays}),
            "joins": len(stays),
            "minutes": sum(seconds for _, seconds in stays) / 60,
        }
        for (month, user), stays in groups.items()
    ]
    assert "" in {row["user_id"] for row in expected} and len({row["month"] for row in expected}) > 1
    # Sorted by minutes as they are rounded by the database, where a half may go either way.
    found = ask("participant_minutes", **period)
    order = [(row["month"], -row["minutes"], row["user_id"]) for row in found]
    assert order == sorted(order)
    by_name = lambda row: (row["month"], row["user_id"])  # noqa: E731
    assert_same(sorted(found, key=by_name), sorted(expected, key=by_name))


def test_peak_concurrency(ask, truth, period):
    stays = [
        (time(p["joined_at"]), time(p["left_at"] or s["stopped_at"]))
        for s in truth.sessions
        for p in s["peers"]
        if p["joined_at"]
    ]
    expected = []
    start = period["since"]
    while start < period["until"]:
        # The number can only rise when somebody joins, or be high already at midnight.
        moments = sorted({start, *(joined for joined, _ in stays if start <= joined < start + DAY)})
        people = {m: sum(j <= m and (not l or m < l) for j, l in stays) for m in moments}
        peak = max(people.values())
        expected.append({
            "day": start.date(),
            "peak": peak,
            "peak_at": min(m for m in moments if people[m] == peak),
        })  # fmt: skip
        start += DAY
    dates = {name: moment.date() for name, moment in period.items()}
    assert_same(ask("peak_concurrency", **dates), expected)


def test_template_room_mix(ask, truth, period):
    sessions = group(truth.started(period), lambda s: s["room_id"])
    destinations = Counter(d["template_id"] for d in truth.templates_destinations)
    templates = {t["id"]: t for t in truth.templates}
    rooms = group(truth.rooms, lambda r: r["template_id"] if r["template_id"] in templates else None)
    expected = []
    for template in [*templates, *([None] if None in rooms else [])]:
        of_it = rooms.get(template, [])
        held = [s for room in of_it for s in sessions.get(room["id"], [])]
        known = templates.get(template)
        expected.append({
            "template_id": template,
            "template_name": known and known["name"],
            "roles": known and len(known["roles"]),
            "destinations": destinations[template],
            "rooms": len(of_it),
            "open_rooms": sum(room["enabled"] for room in of_it),
            "used_rooms": sum(room["id"] in sessions for room in of_it),
            "sessions": len(held),
            "session_hours": sum(s["duration"] or 0 for s in held) / 3600,
        })  # fmt: skip
    expected.sort(key=lambda r: (-r["sessions"], -r["rooms"], r["template_id"] is None, r["template_id"]))
    assert_same(ask("template_room_mix", **period), expected)


def test_recording_volume(ask, truth, period):
    chosen = truth.recorded(period)
    expected = []
    groups = group(chosen, lambda r: (day(r["created_at"]), r["destination"]))
    for (date, destination), recordings in groups.items():
        status = Counter(r["status"] for r in recordings)
        files = [[a for a in r["recording_assets"] or [] if a["status"] == "completed"] for r in recordings]
        expected.append({
            "day": date,
            "destination": destination,
            "recordings": len(recordings),
            "completed": status["completed"],
            "failed": status["failed"],
            "completed_without_file": sum(
                r["status"] == "completed" and not f for r, f in zip(recordings, files)
            ),
            "failed_share": status["failed"] / len(recordings),
            "files": sum(map(len, files)),
            "gigabytes": sum(a["size"] or 0 for f in files for a in f) / 1e9,
            "hours": sum(r["duration"] or 0 for r in recordings) / 3600,
        })  # fmt: skip
    expected.sort(key=lambda r: (r["day"], r["destination"] is None, r["destination"]))
    assert_same(ask("recording_volume", **period), expected)


def test_recording_status(ask, truth, period):
    chosen = truth.recorded(period)
    expected = [
        {
            "status": status,
            "recordings": len(recordings),
            "share": len(recordings) / len(chosen),
            "hours": sum(r["duration"] or 0.0 for r in recordings) / 3600,
        }
        for status, recordings in group(chosen, lambda r: r["status"]).items()
    ]
    expected.sort(key=lambda row: (-row["recordings"], row["status"]))
    assert_same(ask("recording_status", **period), expected)


@pytest.mark.parametrize("one_room", [False, True])
def test_recordings_by_room(ask, truth, period, one_room):
    recorded = truth.recorded(period)
    room = Counter(r["room_id"] for r in recorded).most_common(1)[0][0] if one_room else ""
    names = {r["id"]: r["name"] for r in truth.rooms}
    sessions = {s["id"]: s for s in truth.sessions}
    groups = group(
        [r for r in recorded if room in ("", r["room_id"])], lambda r: (r["room_id"], r["session_id"])
    )
    expected = []
    for (room_id, session_id), recordings in groups.items():
        session, status = sessions.get(session_id), Counter(r["status"] for r in recordings)
        expected.append({
            "room_id": room_id,
            "room_name": names.get(room_id),
            "session_id": session_id,
            "session_started_at": session and time(session["started_at"]),
            "session_stopped_at": session and time(session["stopped_at"]),
            "recordings": len(recordings),
            "completed": status["completed"],
            "failed": status["failed"],
            "hours": sum(r["duration"] or 0.0 for r in recordings) / 3600,
            "gigabytes": sum(r["size"] or 0 for r in recordings) / 1e9,
        })  # fmt: skip
    expected.sort(key=lambda r: (r["room_id"], r["session_id"] is None, r["session_id"]))
    assert_same(ask("recordings_by_room", room_id=room, **period), expected)


def test_region_usage(ask, truth, period):
    regions = {r["id"]: r["region"] or "(none)" for r in truth.rooms}
    sessions = group(truth.started(period), lambda s: regions.get(s["room_id"], "(none)"))
    recordings = group(truth.recorded(period), lambda r: regions.get(r["room_id"], "(none)"))
    expected = [
        {
            "region": region,
            "rooms": len({x["room_id"] for x in sessions[region] + recordings[region]}),
            "sessions": len(sessions[region]),
            "participant_minutes": sum(p["duration"] or 0.0 for s in sessions[region] for p in s["peers"]) / 60,
            "recordings": len(recordings[region]),
        }
        for region in sessions.keys() | recordings.keys()
    ]
    expected.sort(key=lambda row: (-row["sessions"], row["region"]))
    assert len(expected) > 1
    assert_same(ask("region_usage", **period), expected)


@pytest.mark.parametrize("one_room", [False, True])
def test_engagement_funnel(ask, truth, one_room):
    moments = sorted(time(e["created_at"]) for e in truth.analytics_events)
    period = {"since": moments[len(moments) // 10], "until": moments[-1]}
    events = [
        (event, event["user_id"] or event["peer_id"])
        for event in truth.analytics_events
        if period["since"] <= time(event["created_at"]) < period["until"]
    ]
    failed_joins = {"client.connect.failed", "client.join.failed"}
    rooms = Counter(e["room_id"] for e, person in events if person and e["type"] in failed_joins)
    room = rooms.most_common(1)[0][0] if one_room else ""
    people = defaultdict(set)
    for event, person in events:
        if person and room in ("", event["room_id"]):
            people[person].add(event["type"])
    tried = [types for types in people.values() if types & {"peer.join", *failed_joins}]
    joined = [types for types in tried if "peer.join" in types]
    published = [types for types in joined if "track.add.success" in types]
    unfailed = [t for t in published if not any(k.startswith("client.") and k.endswith(".failed") for k in t)]
    kept = [types for types in unfailed if "client.disconnected" not in types]
    stages = zip(
        ["tried", "joined", "published", "no failure", "no drop"],
        [tried, joined, published, unfailed, kept],
        strict=True,
    )
    expected = [
        {"step": step, "stage": stage, "people": len(who), "share": len(who) / len(tried)}
        for step, (stage, who) in enumerate(stages, 1)
    ]
    assert_same(ask("engagement_funnel", room_id=room, **period), expected)


@pytest.mark.parametrize("one_room", [False, True])
def test_leave_reasons(ask, truth, one_room):
    leaves = [e for e in truth.webhook_events if e["type"] == "peer.leave.success"]
    moments = sorted(time(e["created_at"]) for e in truth.webhook_events)
    period = {"since": moments[len(moments) // 10], "until": moments[-1]}
    room = Counter(e["room_id"] for e in leaves).most_common(1)[0][0] if one_room else ""
    newest = {}
    for event in sorted(leaves, key=lambda e: (time(e["created_at"]), reversed_text(e["id"]))):
        if period["since"] <= time(event["created_at"]) < period["until"] and room in ("", event["room_id"]):
            newest[event["peer_id"] or event["id"]] = event
    groups = group(newest.values(), lambda e: e["data"].get("reason") or "(none)")
    expected = [
        {
            "reason": reason,
            "leaves": len(events),
            "people": len({e["user_id"] or e["peer_id"] or e["id"] for e in events}),
            "share": len(events) / len(newest),
        }
        for reason, events in groups.items()
    ]
    expected.sort(key=lambda row: (-row["leaves"], row["reason"]))
    assert one_room or len(expected) > 2
    found = ask("leave_reasons", room_id=room, **period)
    by_reason = lambda row: (-row["leaves"], row["reason"])  # noqa: E731
    assert_same(sorted(found, key=by_reason), expected)


def reversed_text(text: str) -> list[int]:
    """Sorts texts the other way round."""
    return [-ord(letter) for letter in text]


def test_quality_by_room(ask, truth):
    began = sorted(time(track["started_at"]) for track in truth.peer_quality if track["started_at"])
    period = {"since": midnight(began[len(began) // 10].date()), "until": began[-1]}
    names = {room["id"]: room["name"] for room in truth.rooms}
    chosen = [
        track
        for track in truth.peer_quality
        if track["started_at"] and period["since"] <= time(track["started_at"]) < period["until"]
    ]
    expected = []
    for (date, room), tracks in group(chosen, lambda t: (day(t["started_at"]), t["room_id"])).items():
        losses = numbers(tracks, "packet_loss_percent")
        round_trips = numbers(tracks, "rtt_ms")
        expected.append({
            "room_id": room,
            "room_name": names.get(room),
            "day": date,
            "sessions": len({t["session_id"] for t in tracks}),
            "peers": len({t["peer_id"] for t in tracks}),
            "tracks": len(tracks),
            "samples": sum(t["samples"] for t in tracks),
            "lossy_share": sum(loss > 5 for loss in losses) / len(losses) if losses else None,
            "rtt_ms_p95": percentile(round_trips, 0.95) if round_trips else None,
        })  # fmt: skip
    expected.sort(key=lambda row: (row["day"], row["room_id"]))
    assert len(expected) > 10
    found = ask("quality_by_room", **period)
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        # One digit after the point.
        assert row.pop("rtt_ms_p95") == pytest.approx(wanted.pop("rtt_ms_p95"), abs=0.051), (row, wanted)
    assert_same(found, expected)


def numbers(tracks: list[dict], measure: str) -> list[float]:
    return [value for t in tracks for value in t["time_series"].get(measure) or [] if value is not None]


def percentile(values: list[float], fraction: float) -> float:
    """Between the two values that stand around it."""
    values = sorted(values)
    place = (len(values) - 1) * fraction
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def test_session_lookup(ask, truth):
    """Of the session with most to tell: recorded, with events, and with people who have left."""
    events = group(truth.analytics_events, lambda e: e["session_id"])
    recordings = group(truth.recordings, lambda r: r["session_id"])
    told = [s for s in truth.sessions if s["id"] in events and s["id"] in recordings and s["peers"]]
    session = max(told, key=lambda s: len(events[s["id"]]) + len(s["peers"]))

    lines = [(session["created_at"], "session created", None, session["room_id"])]
    if not session["active"]:
        lines.append((session["stopped_at"], "session stopped", None, session["room_id"]))
    for peer in session["peers"]:
        if peer["joined_at"]:
            lines.append((peer["joined_at"], "joined", peer["name"], peer["role"]))
        if peer["left_at"]:
            stay = f"after {round(peer['duration'])} s"
            lines.append((peer["left_at"], "left", peer["name"], stay))
    for event in events[session["id"]]:
        if event["type"] in ("peer.join", "peer.leave"):
            continue  # the same as the lines above
        who = event["data"].get("user_name") or event["user_id"] or None
        lines.append((event["created_at"], event["type"], who, event["peer_id"]))
    for recording in recordings[session["id"]]:
        if recording["started_at"]:
            lines.append(
                (recording["started_at"], "recording started", recording["started_by"], recording["id"])
            )
        if recording["stopped_at"]:
            what = f"recording {recording['status']}"
            lines.append((recording["stopped_at"], what, recording["stopped_by"], recording["id"]))

    found = ask("session_lookup", session_id=session["id"])
    assert [row["moment"] for row in found] == sorted(time(line[0]) for line in lines)
    assert Counter((r["moment"], r["what"], r["who"], r["detail"]) for r in found) == Counter(
        (time(line[0]), *line[1:]) for line in lines
    )


@pytest.fixture(scope="module")
def how_to_ask() -> dict[str, str]:
    """The code blocks of docs/queries/README.md by their language."""
    page = section((QUERIES / "README.md").read_text(), "How to ask")
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S))


def follow(command: list, folder, root, **environment: str) -> str:
    """What a command of the page prints, in a folder with the documentation in it."""
    (folder / "docs").symlink_to(root / "docs")
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_psql_asks_as_the_page_says(how_to_ask, synced_twice_into_postgres, tmp_path, root):
    url = synced_twice_into_postgres.warehouse.database.url
    said = follow(["bash", "-c", how_to_ask["sh"]], tmp_path, root, DATABASE_URL=url)
    assert "session_minutes" in said and len(said.splitlines()) > 5


def test_duckdb_asks_as_the_page_says(how_to_ask, synced_twice, tmp_path, root):
    (tmp_path / "100ms.duckdb").symlink_to(synced_twice.warehouse.database.path)
    said = follow([sys.executable, "-c", how_to_ask["python"]], tmp_path, root)
    assert "session_minutes" in said and len(said.splitlines()) > 5


def test_what_cannot_run_here_is_written_for_its_database(how_to_ask, root):
    """Snowflake's variables are those of its queries, and the command for BigQuery names a query and its parameters."""
    query = (QUERIES / "snowflake/session_volume.sql").read_text()
    told = set(re.findall(r"^SET (\w+) = ", how_to_ask["sql"], re.M))
    settings = [said for said in sqlglot.parse(how_to_ask["sql"], read="snowflake") if isinstance(said, sqlglot.exp.Set)]
    assert len(settings) == len(told)
    assert told == set(re.findall(r"\$(\w+)", query))
    [path] = re.findall(r"< (\S+\.sql)", how_to_ask["text"])
    assert set(re.findall(r"--parameter=(\w+):", how_to_ask["text"])) == set(re.findall(r"@(\w+)", (root / path).read_text()))
