"""A PostgreSQL server on loopback, as somebody has it who loads the streams into one."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

# Debian's package of the server, which `run` installs, keeps its programs out of the path.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A server with an empty database, in a folder of its own and owned by a user that is not root."""

    USER, DATABASE = "reader", "warehouse"

    def __init__(self):
        # Not under pytest's folder, which only root may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        owner = pwd.getpwnam("postgres")
        os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        data = self.folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        run = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": self.folder}
        log = (self.folder / "log").open("w")
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={self.USER}", "--no-sync"]
        subprocess.run([PROGRAMS[-1] / "initdb", *options, data], stdout=log, stderr=log, check=True, **run)
        server = [PROGRAMS[-1] / "postgres", "-D", data, "-p", str(self.port), "-k", self.folder]
        # Nobody who lives in UTC would notice a time zone that is forgotten.
        settings = ["listen_addresses=127.0.0.1", "fsync=off", "TimeZone=Asia/Kolkata"]
        arguments = [argument for setting in settings for argument in ("-c", setting)]
        self._process = subprocess.Popen([*server, *arguments], stdout=log, stderr=log, **run)
        self._wait()
        self.create(self.DATABASE)

    def create(self, database: str) -> str:
        """The address of a new database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
            # As docs/runners.md tells: PyAirbyte writes times without a zone, in that of the database.
            connection.execute(f"ALTER DATABASE {database} SET timezone = 'UTC'")
        return self.url(database)

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{self.USER}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        # Ends at once: the other signal would wait until PyAirbyte's pool lets go of its connections.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres")):
                return
            time.sleep(0.1)
        raise TimeoutError((self.folder / "log").read_text())
