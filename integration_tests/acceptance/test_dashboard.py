"""The dashboard of analytics/, opened in a real browser: with data, with none, and with a part of the streams."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import expect, sync_playwright

from fake import Fake
from pages import blocks, section
from test_analytics import Truth

PAGES = {
    "": "Usage", "participation": "Participation", "peak-hours": "Peak hours", "recordings": "Recordings",
    "failures": "Failures", "live-now": "Live now", "support": "What happened?",
}  # fmt: skip
FILLED = '[data-testid="stVegaLiteChart"], [data-testid="stDataFrame"]'
BROKEN = '[data-testid="stException"], [data-testid="stAlertContentError"]'
EMPTY = '[data-testid="stAlertContentInfo"]'


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield chromium
        chromium.close()


class Dashboard:
    """The app, started by a command, and a page of the browser that looks at it."""

    def __init__(self, command: list, browser, folder: Path, **environment: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self._log = folder / "dashboard.log"
        options = ["--server.port", self.url.rpartition(":")[2]]
        self._process = subprocess.Popen(
            [*command, *options], cwd=folder, env=os.environ | environment, stdout=self._log.open("w"),
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._wait()
        self.page = browser.new_page()
        self.page.set_default_timeout(60_000)
        self.thrown = []
        self.page.on("pageerror", lambda error: self.thrown.append(str(error)))

    def _wait(self) -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                return urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5).close()
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(self._log.read_text())

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/{path}")
        expect(self.page.locator("h1")).to_have_text(PAGES[path.partition("?")[0]], timeout=60_000)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        assert self.page.locator(BROKEN).all_inner_texts() == [] == self.thrown

    def choose(self, label: str) -> None:
        self.page.locator(f'p:text-is("{label}")').click()
        self.page.wait_for_timeout(500)
        self.settle()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def metric(self, name: str) -> float:
        box = self.page.locator('[data-testid="stMetric"]').filter(has_text=name).first
        return float(box.locator('[data-testid="stMetricValue"]').inner_text().replace(",", ""))

    def close(self) -> None:
        self.page.close()
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=30)


@pytest.fixture(scope="module")
def dashboard(root, browser):
    started = []

    def start(database: str, folder: Path) -> Dashboard:
        command = [Path(sys.executable).with_name("streamlit"), "run", root / "analytics/dashboard/app.py"]
        started.append(Dashboard(command, browser, folder, ANALYTICS_DATABASE=str(database)))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def synced(request):
    return request.getfixturevalue("synced_twice_into_postgres" if request.param == "postgresql" else "synced_twice")


@pytest.fixture(scope="module")
def filled(synced, dashboard, tmp_path_factory):
    database = synced.warehouse.database
    return dashboard(getattr(database, "url", None) or database.path, tmp_path_factory.mktemp("dashboard"))


@pytest.fixture(scope="module")
def truth(synced):
    return Truth(synced.truths)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "support"])
def test_every_page_shows_something(filled, path):
    filled.open(path)
    expect(filled.page.locator(FILLED).first).to_be_visible()
    assert not filled.texts(EMPTY)


def test_the_numbers_are_those_of_the_workspace(filled, truth):
    filled.open("")
    filled.choose("All")
    assert filled.metric("Sessions") == len(truth.sessions)
    assert filled.metric("People") == len({stay["person"] for stay in truth.stays})
    assert filled.metric("Hours of people") == round(sum(stay["minutes"] for stay in truth.stays) / 60)
    for choice in ("room", "template", "region", "participant minutes", "joins"):
        filled.choose(choice)
    filled.open("recordings")
    filled.choose("All")
    assert filled.metric("Recordings") == len(truth.recordings)
    filled.open("live-now")
    rooms = {room["id"]: room["name"] for room in truth.rooms}
    live = [peer for peer in truth.now["active_room_peers"].values()]
    assert filled.metric("Rooms") == len({rooms[peer["room_id"]] for peer in live})


def test_support_starts_from_a_session_a_person_a_room_and_a_name(filled, truth):
    failed = next(e for e in truth.failures if e["session_id"] and e["user_id"] and e["type"] == "client.publish.failed")
    session = next(s for s in truth.sessions if s["id"] == failed["session_id"])
    for sought in (session["id"], session["room_id"], failed["user_id"], "Nair"):
        filled.open(f"support?q={sought}")
        assert any("The session took place in the room" in text for text in filled.texts("li")), sought
    filled.open(f"support?q={session['id']}")
    told = " ".join(filled.texts("li"))
    assert f"{len({p['user_id'] or p['id'] for p in session['peers']})} people joined {len(session['peers'])} times" in told
    assert f"could not publish ({failed['data']['error']['name']}" in told
    for odd in ("nobody-has-this-id", "%25", "O'Neill :name {x}", "![name](http://127.0.0.1:9/a.png)"):
        filled.open(f"support?q={odd}")
        assert not filled.texts('[data-testid="stMain"] img'), "a name is no picture"


def test_an_empty_database_says_what_to_do(dashboard, tmp_path):
    duckdb.connect(tmp_path / "empty.duckdb").close()
    empty = dashboard(tmp_path / "empty.duckdb", tmp_path)
    for path in PAGES:
        empty.open(path)
        [said] = empty.texts(EMPTY)
        assert "is not there yet" in said and "dbt build" in said and "docs/analytics.md" in said


def test_duckdb_alone_answers_a_question_of_the_folder(connector, fake_binary, root, tmp_path):
    """The lines of the page, which need no other package, after two reads."""
    [lines] = blocks(section((root / "docs/analytics.md").read_text(), "After the demo"), "python")
    account = Fake(fake_binary, scale="company", now="2026-03-03T15:20:00Z")
    (tmp_path / "config.json").write_text(json.dumps(account.config()))
    read = ["read", "--config", "config.json", "--streams", "sessions", "--incremental", "--output", "demo-output"]
    for _ in range(2):
        subprocess.run([connector.binary, *read], cwd=tmp_path, check=True, capture_output=True)
        account.advance()
    told = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, check=True, capture_output=True, text=True)
    days = [line for line in told.stdout.splitlines() if "2026-0" in line]
    assert len(days) == 14 and "2026-03-03" in days[0], told
    account.close()


def test_one_command_opens_a_folder_that_holds_a_part_of_the_streams_without_names(connector, fake, root, browser, tmp_path):
    """The command of the page, after a read that drops personal data; what was not read is told."""
    [_, command] = blocks(section((root / "docs/analytics.md").read_text(), "After the demo"), "sh")[0].splitlines()
    assert command == "analytics/open demo-output"
    (tmp_path / "config.json").write_text(json.dumps(fake.config() | {"personal_data": "drop"}))
    read = ["read", "--config", "config.json", "--streams", "sessions,rooms", "--output", "demo-output"]
    subprocess.run([connector.binary, *read], cwd=tmp_path, check=True, capture_output=True)
    part = Dashboard([root / command.split()[0], "demo-output"], browser, tmp_path, ANALYTICS_VENV=sys.prefix)
    try:
        part.open("")
        expect(part.page.locator(FILLED).first).to_be_visible()
        part.open("support?q=somebody")
        assert any("joined" in text for text in part.texts("li"))
        for path, stream in {"recordings": "recordings", "failures": "analytics_events"}.items():
            part.open(path)
            [said] = part.texts(EMPTY)
            assert f"No records of the stream {stream} have been read" in said
        part.open("participation")
        assert any("webhook_events" in said and "extra_streams" in said for said in part.texts(EMPTY))
    finally:
        part.close()
