"""The queries of docs/queries, run on the DuckDB that PyAirbyte filled.

Every answer is computed a second time, in Python and from the fake's own truth. It is what the
tables hold: the newest version of every record that was ever read.
"""

import datetime
import re
import statistics
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from connector import STREAMS, key_of

QUERIES = Path(__file__).resolve().parents[2] / "docs/queries"
DAY = datetime.timedelta(days=1)


def time(text: str | None) -> datetime.datetime | None:
    """A time as the tables hold it: in UTC, and without saying so."""
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
        return [s for s in self.sessions if period["from"] <= time(s["started_at"]) < period["until"]]


@pytest.fixture(scope="module")
def truth(synced_twice):
    return Truth(synced_twice.truths)


@pytest.fixture(scope="module")
def period(truth):
    """From the middle of all sessions to the day before the last: something lies on every side."""
    days = sorted(day(s["started_at"]) for s in truth.sessions)
    return {"from": midnight(days[len(days) // 2]), "until": midnight(days[-1])}


def midnight(date: datetime.date) -> datetime.datetime:
    return datetime.datetime(date.year, date.month, date.day)


@pytest.fixture(scope="module")
def ask(synced_twice):
    def run(name: str, **parameters: object) -> list[dict]:
        return synced_twice.warehouse.query((QUERIES / f"{name}.sql").read_text(), parameters)

    return run


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected) > 0
    for row, wanted in zip(found, expected):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            same = pytest.approx(value, abs=0.0051) if isinstance(value, float) else value
            assert row[name] == same, (name, row, wanted)


def group(items: list[dict], key) -> dict:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def test_every_query_says_what_it_answers_and_takes():
    queries = sorted(QUERIES.glob("*.sql"))
    assert len(queries) == 7
    for query in queries:
        header = query.read_text().split("\n\n")[0]
        assert all(line.startswith("--") for line in header.splitlines())
        assert header.splitlines()[0].endswith("?") or "?" in header
        told = {line.split()[1] for line in header.splitlines() if line.startswith("--   $")}
        body = query.read_text().removeprefix(header)
        assert told == {f"${name}" for name in re.findall(r"\$(\w+)", body)}


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


def test_peak_concurrency(ask, truth, period):
    stays = [
        (time(p["joined_at"]), time(p["left_at"] or s["stopped_at"]))
        for s in truth.sessions
        for p in s["peers"]
        if p["joined_at"]
    ]
    expected = []
    start = period["from"]
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
    chosen = [r for r in truth.recordings if period["from"] <= time(r["created_at"]) < period["until"]]
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


@pytest.mark.parametrize("one_room", [False, True])
def test_engagement_funnel(ask, truth, one_room):
    moments = sorted(time(e["created_at"]) for e in truth.analytics_events)
    period = {"from": moments[len(moments) // 10], "until": moments[-1]}
    about_people = [
        (event, event["user_id"] or event["peer_id"])
        for event in truth.analytics_events
        if event["type"] != "beam.recording.success"
        and period["from"] <= time(event["created_at"]) < period["until"]
    ]
    rooms = Counter(event["room_id"] for event, person in about_people if person)
    room = rooms.most_common(1)[0][0] if one_room else None
    people = defaultdict(set)
    for event, person in about_people:
        if person and room in (None, event["room_id"]):
            people[person].add(event["type"])
    connected = [t for t in people.values() if t - {"client.connect.failed"}]
    joined = [t for t in connected if t - {"client.connect.failed", "client.join.failed"}]
    published = [t for t in joined if "track.add.success" in t]
    untroubled = [t for t in published if not any(kind.startswith("client.") for kind in t)]
    stages = zip(
        ["tried", "connected", "joined", "published", "without trouble"],
        [people, connected, joined, published, untroubled],
    )
    expected = [
        {"step": step, "stage": stage, "people": len(who), "share": len(who) / len(people)}
        for step, (stage, who) in enumerate(stages, 1)
    ]
    assert_same(ask("engagement_funnel", room_id=room, **period), expected)


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
            lines.append((peer["left_at"], "left", peer["name"], None))
    for event in events[session["id"]]:
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
    # How long a peer stayed is rounded by the database; the truth's digits would have to be, too.
    without_stays = [
        (r["moment"], r["what"], r["who"], r["detail"] if r["what"] != "left" else None) for r in found
    ]
    assert Counter(without_stays) == Counter((time(line[0]), *line[1:]) for line in lines)
