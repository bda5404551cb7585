"""The databases that readers use: filled by PyAirbyte, built on by the dbt package, and asked in SQL."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import urlsplit

import airbyte
import duckdb
import psycopg
from airbyte.caches import DuckDBCache, PostgresCache
from psycopg.rows import dict_row

from connector import EXTRA
from fake import Fake
from postgres import Postgres

# Of somebody who does not live in UTC.
TIME_ZONE = "Asia/Kolkata"


class Database:
    """Where the tables are, and how its readers ask."""

    def query(self, sql: str, parameters: dict | None = None) -> list[dict]:
        raise NotImplementedError


@dataclass
class DuckDb(Database):
    path: Path

    def query(self, sql, parameters=None):
        with duckdb.connect(self.path) as connection:
            connection.execute(f"SET TimeZone = '{TIME_ZONE}'")
            answer = connection.execute(sql, parameters or {})
            names = [column[0] for column in answer.description]
            return [dict(zip(names, row)) for row in answer.fetchall()]

    def columns(self, table: str) -> dict[str, str]:
        return {c["column_name"]: c["column_type"] for c in self.query(f"DESCRIBE {table}")}


@dataclass
class PostgreSql(Database):
    url: str

    def query(self, sql, parameters=None):
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            connection.execute(f"SET TimeZone = '{TIME_ZONE}'")
            return connection.execute(sql, parameters or None).fetchall()


@dataclass
class Warehouse:
    """A database that PyAirbyte fills from a fake workspace."""

    fake: Fake
    folder: Path
    # How PyAirbyte starts the connector: `local_executable`, or `docker_image` and its options.
    start_with: dict
    # Without one, the rows go into a DuckDB in the folder.
    postgres: Postgres | None = None
    database: Database = field(init=False)

    def __post_init__(self):
        self.database = (
            PostgreSql(self.postgres.url()) if self.postgres else DuckDb(self.folder / "cache.duckdb")
        )

    def source(self) -> airbyte.Source:
        # Every room is asked in each sync, so that every event can be compared: `auto` leaves late ones to a sweep.
        config = self.fake.config() | {"analytics_rooms": "all"}
        return airbyte.get_source("source-100ms", config=config, **self.start_with)

    def cache(self) -> DuckDBCache | PostgresCache:
        files = self.folder / "files"
        if self.postgres:
            return PostgresCache(
                host="127.0.0.1",
                port=self.postgres.port,
                username=self.postgres.USER,
                password="",
                database=self.postgres.DATABASE,
                schema_name="public",
                cache_dir=files,
            )
        return DuckDBCache(db_path=self.database.path, cache_dir=files)

    def sync(self, streams: list[str] | None = None, **options: object) -> int:
        """Read the streams, each on from the state that the cache keeps; the records read."""
        source = self.source()
        source.select_streams(streams) if streams else source.select_all_streams()
        cache = self.cache()
        records = source.read(cache=cache, **options).processed_records
        cache.close()  # DuckDB lets nobody else in while a connection is open
        return records

    def query(self, sql: str, parameters: dict | None = None) -> list[dict]:
        return self.database.query(sql, parameters)

    def columns(self, table: str) -> dict[str, str]:
        return self.database.columns(table)


@dataclass
class SyncedTwice:
    """A warehouse after two syncs with changes between them, and what was true at each."""

    warehouse: Warehouse
    records: tuple[int, int]
    truths: tuple[dict, dict]
    # What came of building the tables of analytics/dbt after each sync.
    builds: tuple[CompletedProcess, CompletedProcess]


def sync_twice(fake: Fake, folder: Path, start_with: dict, postgres: Postgres | None = None) -> SyncedTwice:
    warehouse = Warehouse(fake, folder, start_with, postgres)
    before, first = fake.truth(), warehouse.sync()
    first_build = run_dbt("build", warehouse.database)
    fake.advance()
    after, second = fake.truth(), warehouse.sync()
    second_build = run_dbt("build", warehouse.database)
    return SyncedTwice(warehouse, (first, second), (before, after), (first_build, second_build))


PACKAGE = Path(__file__).resolve().parents[2] / "analytics/dbt"


def run_dbt(command: str, database: Database | str, *options: str, project: Path = PACKAGE, **variables: object) -> CompletedProcess:
    """Runs dbt over a database, or for one that is not here, by its name in the package's profile."""
    match database:
        case DuckDb(path=path):
            target, environment, schema = "duckdb", {"ANALYTICS_DUCKDB": str(path)}, "main"
        case PostgreSql(url=url):
            address = urlsplit(url)
            target, schema = "postgres", "public"
            environment = {"PGPORT": str(address.port), "PGUSER": address.username, "PGDATABASE": address.path[1:]}
        case name:
            target, environment, schema = name, {}, "raw"
    # Next to the sources stay only sources. The parsed project is kept from one run to the next.
    artifacts = f"{tempfile.gettempdir()}/dbt-of-acceptance-{os.getpid()}/{project.name}-{target}"
    environment |= {"DBT_TARGET_PATH": artifacts, "DBT_LOG_PATH": artifacts, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    return subprocess.run(
        [Path(sys.executable).with_name("dbt"), "--no-use-colors", *command.split(), "--target", target, *options]
        + ["--vars", json.dumps(({"source_schema": schema, "extra_streams": [*EXTRA]} if project == PACKAGE else {}) | variables)],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
