"""Asks the tables that dbt has built, in DuckDB or PostgreSQL, and says what is missing when there are none."""

import os
import re
from urllib.parse import urlsplit

import duckdb
import pandas
import psycopg
import streamlit as st
from psycopg.types.numeric import FloatLoader

# The file of a DuckDB, or the address of a PostgreSQL, and the schema that dbt writes to.
DATABASE = os.environ.get("ANALYTICS_DATABASE", "100ms.duckdb")
SCHEMA = os.environ.get("ANALYTICS_SCHEMA", "analytics")
EXTRA = ("webhook_events", "peer_quality")


def database_name() -> str:
    """The name of the database, without the password that its address may hold."""
    if "://" not in DATABASE:
        return os.path.basename(DATABASE)
    address = urlsplit(DATABASE)
    return address.path.strip("/") or address.hostname or "PostgreSQL"


class NotThere(Exception):
    """A table that dbt has not built."""


@st.cache_data(ttl=60, show_spinner=False)
def ask(sql: str, **values: object) -> pandas.DataFrame:
    """The answer to a query in which `{model}` is the table of a model, and `:name` a value."""
    try:
        if DATABASE.startswith(("postgres://", "postgresql://")):
            with psycopg.connect(DATABASE) as connection:
                connection.adapters.register_loader("numeric", FloatLoader)
                sql = re.sub(r"(?<!:):(\w+)", r"%(\1)s", within(f'"{SCHEMA}"', sql).replace("%", "%%"))
                cursor = connection.execute(sql, values)
                return pandas.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
        # A file is closed at once, so that the next sync can write to it.
        with duckdb.connect(DATABASE, read_only=True) as connection:
            used = {name: value for name, value in values.items() if f":{name}" in sql}
            # The schema may be called like the file, which is a catalog of DuckDB.
            [catalog] = connection.execute("select current_database()").fetchone()
            sql = re.sub(r"(?<!:):(\w+)", r"$\1", within(f'"{catalog}"."{SCHEMA}"', sql))
            return connection.execute(sql, used).df()
    except (duckdb.CatalogException, psycopg.errors.UndefinedTable) as error:
        raise NotThere(str(error)) from error
    except (duckdb.IOException, psycopg.OperationalError) as error:
        st.error(f"The database `{database_name()}` cannot be read. It may not be there, or something may be writing to it: try again when it has finished.\n\n{error}")
        st.stop()


def within(schema: str, sql: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda model: f'{schema}."{model[1]}"', sql)


def is_built(model: str) -> bool:
    sql = "select count(*) as n from information_schema.tables where table_schema = :schema and table_name = :model"
    return bool(ask(sql, schema=SCHEMA, model=model).n[0])


def asks_for(stream: str, model: str) -> bool:
    """Whether there is something of the stream to show; if not, the place says how to get it."""
    extra = f", with `extra_streams: [{stream}]` in the variables of dbt and in the configuration of the connector" if stream in EXTRA else ""
    if not is_built(model):
        st.info(f"**The table `{model}` is not there yet.** Run `dbt build`{extra}; `docs/analytics.md` shows how.")
    elif not ask("select count(*) as n from {loaded_streams} where stream = :stream and records > 0", stream=stream).n[0]:
        st.info(f"**No records of the stream `{stream}` have been read.** Select it in the connection (or in `read --streams`), sync, and run `dbt build` again{extra}.")
    else:
        return True
    return False


def need(stream: str, model: str) -> None:
    """Ends the page when there is nothing of the stream to show."""
    if not asks_for(stream, model):
        st.stop()


def plain(text: str) -> str:
    """A text as it is, without Markdown: whoever joins a call chooses a name, which could be a link or a picture."""
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~:$-])", r"\\\1", text)


def need_rows(rows: pandas.DataFrame, what: str) -> bool:
    """Whether there is something; if not, the place says so."""
    if rows.empty:
        st.info(f"There are no {what} in this period. Choose a longer one at the left.")
    return not rows.empty
