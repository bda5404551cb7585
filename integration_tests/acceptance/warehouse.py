"""The databases that readers use: filled by PyAirbyte, or with rows made by hand, and asked in SQL."""

import datetime
import json
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import airbyte
import duckdb
import psycopg
import sqlglot
from airbyte.caches import DuckDBCache, PostgresCache
from psycopg.rows import dict_row
from sqlglot import exp

from fake import Fake
from postgres import Postgres

QUERIES = Path(__file__).resolve().parents[2] / "docs/queries"
# Of somebody who does not live in UTC.
TIME_ZONE = "Asia/Kolkata"


def plain_row(row: dict) -> dict:
    """Decimals as the numbers that Python reckons with."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


class Database:
    """Where the tables are, and how its readers ask."""

    dialect: str

    def query(self, sql: str, parameters: dict | None = None) -> list[dict]:
        raise NotImplementedError

    def ask(self, name: str, **parameters: object) -> list[dict]:
        """The answer to a query of docs/queries."""
        return [plain_row(row) for row in self.query(self.text(name), parameters)]

    def text(self, name: str) -> str:
        return (QUERIES / self.dialect / f"{name}.sql").read_text()


@dataclass
class DuckDb(Database):
    path: Path
    memory_limit: str = "2GB"
    time_zone: str = TIME_ZONE
    dialect = "duckdb"

    # The types of its columns, as PyAirbyte creates them.
    types = {"text": "VARCHAR", "whole": "BIGINT", "number": "DECIMAL(38, 9)", "flag": "BOOLEAN",
             "time": "TIMESTAMP", "json": "JSON"}  # fmt: skip

    def query(self, sql, parameters=None):
        with duckdb.connect(self.path) as connection:
            connection.execute(f"SET TimeZone = '{self.time_zone}'")
            connection.execute(f"SET memory_limit = '{self.memory_limit}'")
            answer = connection.execute(sql, parameters or {})
            names = [column[0] for column in answer.description]
            return [dict(zip(names, row)) for row in answer.fetchall()]

    def create(self, table: str, columns: dict[str, str], rows: list[dict]) -> None:
        with duckdb.connect(self.path) as connection:
            fill(connection, table, columns, rows, self.types, "?")

    def columns(self, table: str) -> dict[str, str]:
        return {c["column_name"]: c["column_type"] for c in self.query(f"DESCRIBE {table}")}


@dataclass
class PostgreSql(Database):
    url: str
    dialect = "postgresql"

    # The types of its columns, as Airbyte's destination creates them. PyAirbyte has others.
    types = {"text": "varchar", "whole": "bigint", "number": "numeric", "flag": "boolean",
             "time": "timestamptz", "json": "jsonb"}  # fmt: skip

    def query(self, sql, parameters=None):
        # psql puts a variable where `:'name'` stands; here the driver does, which reads `%` as its own.
        sql = re.sub(r"^--.*$", "", sql, flags=re.MULTILINE)
        sql = re.sub(r":'(\w+)'", r"%(\1)s", sql)
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            connection.execute(f"SET TimeZone = '{TIME_ZONE}'")
            return connection.execute(sql, parameters or None).fetchall()

    def create(self, table: str, columns: dict[str, str], rows: list[dict]) -> None:
        with psycopg.connect(self.url) as connection:
            fill(connection.cursor(), table, columns, rows, self.types, "%s")


@dataclass
class Translated(Database):
    """The queries for a database that cannot run here, translated for DuckDB by sqlglot and run there."""

    dialect: str
    database: DuckDb

    def query(self, sql, parameters=None):
        [tree] = sqlglot.parse(sql, read=self.dialect)
        # BigQuery is always in UTC, and Snowflake's columns have a zone, which the tables here have not.
        in_utc = replace(self.database, time_zone="UTC")
        return in_utc.query(tree.transform(as_duckdb_has_it).sql("duckdb"), parameters)


def as_duckdb_has_it(node: exp.Expression) -> exp.Expression:
    """What sqlglot does not translate, or not with the meaning that it has in the other database."""
    match node:
        # DuckDB's decimals have three digits unless told otherwise, BigQuery's nine.
        case exp.DataType(this=exp.DataType.Type.DECIMAL, expressions=[]):
            return exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb")
        case exp.JSONKeysAtDepth():
            return exp.Anonymous(this="json_keys", expressions=[node.this])
        # The exact percentile stands for the approximate one.
        case exp.Bracket(this=exp.ApproxQuantiles(this=value), expressions=[number]):
            fraction = exp.Literal.number(int(number.name) / 100)
            return exp.Anonymous(this="quantile_cont", expressions=[value, fraction])
        # A text that is taken out of Snowflake's VARIANT has no quotation marks.
        case exp.Cast(this=exp.JSONExtract(args={"variant_extract": True})):
            node.this.replace(exp.JSONExtractScalar(this=node.this.this, expression=node.this.expression))
        case exp.Lateral(this=exp.Explode(this=exp.Kwarg(expression=array))):
            values = f"SELECT unnest(CAST({array.sql('duckdb')} AS JSON[])) AS value"
            return sqlglot.parse_one(values, read="duckdb").subquery(node.alias)
        case exp.Column(this=exp.Identifier(this="value"), table="item", parent=exp.Cast()):
            return exp.JSONExtractScalar(this=node, expression=exp.JSONPath(expressions=[exp.JSONPathRoot()]))
    return node


def fill(cursor, table: str, columns: dict, rows: list[dict], types: dict, mark: str) -> None:
    shape = ", ".join(f"{name} {types[kind]}" for name, kind in columns.items())
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(f"CREATE TABLE {table} ({shape})")
    marks = ", ".join([mark] * len(columns))
    values = [[stored(row[name], kind) for name, kind in columns.items()] for row in rows]
    if values:
        cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", values)


def stored(value: object, kind: str) -> object:
    return json.dumps(value) if kind == "json" and value is not None else value


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


def sync_twice(fake: Fake, folder: Path, start_with: dict, postgres: Postgres | None = None) -> SyncedTwice:
    warehouse = Warehouse(fake, folder, start_with, postgres)
    before, first = fake.truth(), warehouse.sync()
    fake.advance()
    after, second = fake.truth(), warehouse.sync()
    return SyncedTwice(warehouse, (first, second), (before, after))
