#!/usr/bin/env python3
"""Writes the queries of `templates/` in the SQL of each database.

    python3 docs/queries/generate.py            writes duckdb/, postgresql/, bigquery/ and snowflake/
    python3 docs/queries/generate.py --check    fails if a written file is not what the template says

The templates are SQL that all four databases understand. What they disagree on (times, JSON, percentiles,
calendars, parameters) is a method of `Dialect`, and a template calls it as `{{ sql.utc("s.started_at") }}`.
Needs Jinja2, which renders the templates.
"""

import sys
from pathlib import Path
from textwrap import indent

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "templates"


class Dialect:
    """What a database has its own way to say. Times are handled in UTC and without a zone throughout."""

    name: str
    title: str
    # What a header adds where it speaks of a percentile.
    how_exact = ""
    # The types that parameters and members of JSON objects are read as.
    text: str
    whole: str
    number: str
    time: str

    def parameter(self, name: str) -> str:
        raise NotImplementedError

    def time_parameter(self, name: str) -> str:
        return f"CAST({self.parameter(name)} AS {self.time})"

    def number_parameter(self, name: str) -> str:
        return f"CAST({self.parameter(name)} AS {self.number})"

    def parameters(self, **described: str) -> str:
        """The lines of a file's header that say what it takes."""
        width = max(len(self.parameter(name)) for name in described)
        lines = [f"--   {self.parameter(name):{width}}  {what}" for name, what in described.items()]
        return "\n".join(["-- Parameters:", *lines])

    def within(self, column: str) -> str:
        """Whether a time lies in the period asked about, which every query gives in the same way."""
        since, until = self.time_parameter("since"), self.time_parameter("until")
        return f"{self.utc(column)} >= {since}\n    AND {self.utc(column)} < {until}"

    def is_chosen(self, column: str, name: str) -> str:
        """Whether the column has the parameter's value; everything has when the parameter is empty."""
        return f"coalesce(CAST({self.parameter(name)} AS {self.text}), '') IN ('', {column})"

    def decimal(self, value: str) -> str:
        """Counts divide without a rest in some databases, so shares are computed with decimals."""
        return f"CAST({value} AS {self.number})"

    def rounded(self, value: str, digits: int) -> str:
        return f"round({self.decimal(value)}, {digits})"

    def integer(self, value: str) -> str:
        """A sum of counts, which some databases make a decimal."""
        return f"CAST({value} AS {self.whole})"

    def share(self, part: str, whole: str) -> str:
        return f"round({self.decimal(part)} / nullif({whole}, 0), 3)"

    def utc(self, column: str) -> str:
        """A column with a time, in UTC and without its zone."""
        raise NotImplementedError

    def month(self, time: str) -> str:
        return f"CAST(date_trunc('month', {time}) AS DATE)"

    def midnights(self, since: str, until: str) -> str:
        """A query for the column `midnight`: one row for each day from `since`, before `until`."""
        raise NotImplementedError

    def seconds_between(self, earlier: str, later: str) -> str:
        raise NotImplementedError

    def percentile(self, value: str, fraction: float) -> str:
        return f"percentile_cont({fraction}) WITHIN GROUP (ORDER BY {value})"

    def member(self, column: str, key: str) -> str:
        """A member of a JSON object, as text."""
        raise NotImplementedError

    def member_count(self, column: str) -> str:
        """How many members a JSON object has."""
        raise NotImplementedError

    def items(self, table: str, column: str, keep: dict, fields: dict, where: str = "") -> str:
        """A query with one row for each object of a JSON array.

        `keep` names expressions of the table's row, `fields` members of the object with the kind that each
        has (`text`, `number` or `time`). A row of the table whose array is empty gives no row.
        """
        raise NotImplementedError

    def numbers(self, table: str, column: str, key: str, keep: dict, where: str = "") -> str:
        """A query with one row for each number in the JSON array `key` of an object, as `value`."""
        raise NotImplementedError


def select(columns: list[str], source: str, where: str = "") -> str:
    lines = ["SELECT", ",\n".join(f"    {column}" for column in columns), source]
    return "\n".join([*lines, f"WHERE {where}"] if where else lines)


def named(keep: dict) -> list[str]:
    return [f"{expression} AS {name}" for name, expression in keep.items()]


class DuckDb(Dialect):
    name, title = "duckdb", "DuckDB"
    text, whole, number, time = "VARCHAR", "BIGINT", "DECIMAL(38, 9)", "TIMESTAMP"
    in_json = {"text": "VARCHAR", "number": "DOUBLE", "time": "TIMESTAMP"}

    def parameter(self, name):
        return f"${name}"

    def utc(self, column):
        # PyAirbyte keeps times in DuckDB without a zone, in UTC.
        return column

    def midnights(self, since, until):
        return select(
            ["day AS midnight"],
            f"FROM range({since}, {until}, INTERVAL 1 DAY) AS days (day)",
        )

    def seconds_between(self, earlier, later):
        return f"epoch({later}) - epoch({earlier})"

    def member(self, column, key):
        return f"{column} ->> '{key}'"

    def member_count(self, column):
        return f"len(json_keys({column}))"

    # `unnest` stands in an inner SELECT list and not in FROM: there, DuckDB would carry the whole array
    # along with each of its items, which for a session of 10,000 peers takes more memory than there is.
    def items(self, table, column, keep, fields, where=""):
        shape = ", ".join(f'"{field}": "{self.in_json[kind]}"' for field, kind in fields.values())
        inner = select(
            [*named(keep), f"unnest(from_json({column}, '[{{{shape}}}]')) AS item"], f"FROM {table}", where
        )
        outer = [*keep, *(f"item.{field} AS {name}" for name, (field, _) in fields.items())]
        return select(outer, f"FROM (\n{indent(inner, '    ')}\n) AS unnested")

    def numbers(self, table, column, key, keep, where=""):
        array = f"""unnest(from_json({column} -> '{key}', '["DOUBLE"]')) AS value"""
        return select([*named(keep), array], f"FROM {table}", where)


class PostgreSql(Dialect):
    name, title = "postgresql", "PostgreSQL"
    text, whole, number, time = "text", "bigint", "numeric", "timestamp"
    in_json = {"text": "text", "number": "numeric", "time": "timestamptz"}

    def parameter(self, name):
        return f":'{name}'"

    def utc(self, column):
        # Airbyte's destination keeps times with a zone and PyAirbyte without one, in UTC. What lies between a
        # time and the epoch is the same for both, whatever the zone of the session is.
        return f"to_timestamp(extract(epoch FROM {column})) AT TIME ZONE 'UTC'"

    def midnights(self, since, until):
        return select(
            ["midnight"],
            f"FROM generate_series({since}, {until}, INTERVAL '1 day') AS days (midnight)",
            f"midnight < {until}",
        )

    def seconds_between(self, earlier, later):
        return f"extract(epoch FROM {later} - {earlier})"

    def member(self, column, key):
        return f"{column} ->> '{key}'"

    # The columns are `jsonb` or `json`, depending on who wrote the table: the cast takes both.
    def member_count(self, column):
        return f"(SELECT count(*) FROM jsonb_object_keys(CAST({column} AS jsonb)))"

    def array(self, value):
        """The value if it is an array: PostgreSQL ends a query that takes anything else apart."""
        return f"CASE jsonb_typeof({value})\n        WHEN 'array' THEN {value}\n    END"

    def items(self, table, column, keep, fields, where=""):
        array = self.array(f"CAST({column} AS jsonb)")
        shape = ", ".join(f"{field} {self.in_json[kind]}" for field, kind in fields.values())
        values = [
            f"item.{field} AT TIME ZONE 'UTC' AS {name}" if kind == "time" else f"item.{field} AS {name}"
            for name, (field, kind) in fields.items()
        ]
        source = f"FROM {table}\nCROSS JOIN LATERAL jsonb_to_recordset(\n    {array}\n) AS item ({shape})"
        return select([*named(keep), *values], source, where)

    def numbers(self, table, column, key, keep, where=""):
        array = self.array(f"CAST({column} AS jsonb) -> '{key}'")
        source = f"FROM {table}\nCROSS JOIN LATERAL jsonb_array_elements_text(\n    {array}\n) AS item (value)"
        return select([*named(keep), "CAST(item.value AS numeric) AS value"], source, where)


class BigQuery(Dialect):
    name, title = "bigquery", "BigQuery"
    how_exact = " (as APPROX_QUANTILES gives it)"
    text, whole, number, time = "STRING", "INT64", "NUMERIC", "DATETIME"

    def parameter(self, name):
        return f"@{name}"

    def utc(self, column):
        return f"DATETIME({column})"

    def month(self, time):
        return f"CAST(DATETIME_TRUNC({time}, MONTH) AS DATE)"

    def midnights(self, since, until):
        return select(
            ["CAST(day AS DATETIME) AS midnight"],
            f"FROM UNNEST(GENERATE_DATE_ARRAY(CAST({since} AS DATE), CAST({until} AS DATE))) AS day",
            f"CAST(day AS DATETIME) < {until}",
        )

    def seconds_between(self, earlier, later):
        return f"DATETIME_DIFF({later}, {earlier}, MICROSECOND) / 1000000"

    def percentile(self, value, fraction):
        # The exact function exists only for windows; the aggregate is approximate.
        return f"APPROX_QUANTILES({value}, 100)[OFFSET({round(100 * fraction)})]"

    def member(self, column, key):
        return f"JSON_VALUE({column}, '$.{key}')"

    def member_count(self, column):
        return f"ARRAY_LENGTH(JSON_KEYS({column}, 1))"

    def value(self, text, kind):
        return {
            "text": text,
            "number": f"CAST({text} AS NUMERIC)",
            "time": f"DATETIME(CAST({text} AS TIMESTAMP))",
        }[kind]

    def items(self, table, column, keep, fields, where=""):
        values = [
            f"{self.value(self.member('item', field), kind)} AS {name}"
            for name, (field, kind) in fields.items()
        ]
        source = f"FROM {table}\nCROSS JOIN UNNEST(JSON_QUERY_ARRAY({column})) AS item"
        return select([*named(keep), *values], source, where)

    def numbers(self, table, column, key, keep, where=""):
        source = f"FROM {table}\nCROSS JOIN UNNEST(JSON_QUERY_ARRAY({column}, '$.{key}')) AS item"
        return select([*named(keep), "CAST(JSON_VALUE(item) AS NUMERIC) AS value"], source, where)


class Snowflake(Dialect):
    name, title = "snowflake", "Snowflake"
    text, whole, number, time = "VARCHAR", "INTEGER", "NUMBER(38, 9)", "TIMESTAMP_NTZ"

    def parameter(self, name):
        return f"${name}"

    def utc(self, column):
        return f"CAST(convert_timezone('UTC', {column}) AS TIMESTAMP_NTZ)"

    def midnights(self, since, until):
        numbered = select(
            [f"dateadd(day, row_number() OVER (ORDER BY seq4()) - 1, {since}) AS midnight"],
            "FROM TABLE(generator(rowcount => 3660))",
        )
        return select(["midnight"], f"FROM (\n{indent(numbered, '    ')}\n) AS days", f"midnight < {until}")

    def seconds_between(self, earlier, later):
        return f"datediff(microsecond, {earlier}, {later}) / 1000000"

    def member(self, column, key):
        return f"CAST({column}:{key} AS VARCHAR)"

    def member_count(self, column):
        return f"array_size(object_keys({column}))"

    def value(self, value, kind):
        return {
            "text": f"CAST({value} AS VARCHAR)",
            "number": f"CAST({value} AS NUMBER(38, 9))",
            "time": self.utc(f"CAST({value} AS TIMESTAMP_TZ)"),
        }[kind]

    def items(self, table, column, keep, fields, where=""):
        values = [
            f"{self.value(f'item.value:{field}', kind)} AS {name}" for name, (field, kind) in fields.items()
        ]
        source = f"FROM {table},\n    LATERAL flatten(input => {column}) AS item"
        return select([*named(keep), *values], source, where)

    def numbers(self, table, column, key, keep, where=""):
        source = f"FROM {table},\n    LATERAL flatten(input => {column}:{key}) AS item"
        return select([*named(keep), "CAST(item.value AS NUMBER(38, 9)) AS value"], source, where)


DIALECTS = [DuckDb(), PostgreSql(), BigQuery(), Snowflake()]


def queries() -> dict[Path, str]:
    """Every file that is generated, and what stands in it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    written = {}
    for template in sorted(TEMPLATES.glob("*.sql")):
        for dialect in DIALECTS:
            note = f"-- For {dialect.title}. Generated from templates/{template.name}: change that, not this.\n"
            text = environment.get_template(template.name).render(sql=dialect)
            written[HERE / dialect.name / template.name] = text.replace("\n\n", f"\n--\n{note}\n", 1)
    return written


def stale() -> list[Path]:
    """The files that are not what the templates say, those that have no template among them."""
    expected = queries()
    found = {path for dialect in DIALECTS for path in (HERE / dialect.name).glob("*.sql")}
    differing = [p for p, text in expected.items() if not p.is_file() or p.read_text() != text]
    return sorted([*differing, *(found - expected.keys())])


def write() -> None:
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in queries().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if found := stale():
            sys.exit("Not what the templates say: " + ", ".join(str(p.relative_to(HERE)) for p in found))
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write()
