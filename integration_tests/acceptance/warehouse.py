"""A DuckDB that PyAirbyte fills, as a user's notebook would."""

from dataclasses import dataclass
from pathlib import Path

import airbyte
import duckdb
from airbyte.caches import DuckDBCache

from fake import Fake


@dataclass
class Warehouse:
    fake: Fake
    folder: Path
    # How PyAirbyte starts the connector: `local_executable`, or `docker_image` and its options.
    start_with: dict

    def source(self) -> airbyte.Source:
        return airbyte.get_source("source-100ms", config=self.fake.config(), **self.start_with)

    def sync(self) -> int:
        """Read all streams, each on from the state that the cache keeps; the records read."""
        source = self.source()
        source.select_all_streams()
        cache = DuckDBCache(db_path=self.folder / "cache.duckdb", cache_dir=self.folder / "files")
        records = source.read(cache=cache).processed_records
        cache.close()  # DuckDB lets nobody else in while a connection is open
        return records

    def query(self, sql: str, parameters: dict | None = None) -> list[dict]:
        """The rows of the answer, as somebody gets them who does not live in UTC."""
        with duckdb.connect(self.folder / "cache.duckdb", read_only=True) as connection:
            connection.execute("SET TimeZone = 'Asia/Kolkata'")
            answer = connection.execute(sql, parameters or {})
            names = [column[0] for column in answer.description]
            return [dict(zip(names, row)) for row in answer.fetchall()]

    def columns(self, table: str) -> dict[str, str]:
        return {c["column_name"]: c["column_type"] for c in self.query(f"DESCRIBE {table}")}


@dataclass
class SyncedTwice:
    """A warehouse after two syncs with changes between them, and what was true at each."""

    warehouse: Warehouse
    records: tuple[int, int]
    truths: tuple[dict, dict]


def sync_twice(fake: Fake, folder: Path, start_with: dict) -> SyncedTwice:
    warehouse = Warehouse(fake, folder, start_with)
    before, first = fake.truth(), warehouse.sync()
    fake.advance()
    after, second = fake.truth(), warehouse.sync()
    return SyncedTwice(warehouse, (first, second), (before, after))
