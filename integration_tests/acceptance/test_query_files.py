"""The files of docs/queries: what they say of themselves, and that each speaks its database's language."""

import re
import subprocess
import sys

import pytest
import sqlglot
from sqlglot import exp

from warehouse import QUERIES

DIALECTS = ["duckdb", "postgresql", "bigquery", "snowflake"]
NAMES = sorted(path.stem for path in (QUERIES / "templates").glob("*.sql"))
FILES = [(dialect, name) for dialect in DIALECTS for name in NAMES]
PARAMETER = {"duckdb": r"\$\w+", "postgresql": r":'\w+'", "bigquery": r"@\w+", "snowflake": r"\$\w+"}

# Functions and types that a query may use in each database which does not run here, from the vendors'
# references. A function of another database would be a syntax error that nobody sees before a reader does.
EVERYWHERE = {"coalesce", "count", "lag", "max", "min", "nullif", "round", "row_number", "sum"}
FUNCTIONS = {
    "bigquery": EVERYWHERE
    | {"approx_quantiles", "array_length", "datetime", "datetime_diff", "datetime_trunc"}
    | {"generate_date_array", "json_keys", "json_query_array", "json_value", "offset", "unnest"},
    "snowflake": EVERYWHERE
    | {"array_size", "convert_timezone", "date_trunc", "dateadd", "datediff", "flatten", "generator"}
    | {"object_keys", "percentile_cont", "seq4", "table"},
}
# What stands before a bracket without being a function.
SYNTAX = {"and", "as", "by", "cast", "exists", "from", "group", "in", "on", "or", "over", "when", "where"}
TYPES = {
    "bigquery": {"DATE", "DATETIME", "INT64", "NUMERIC", "STRING", "TIMESTAMP"},
    "snowflake": {
        *("DATE", "INTEGER", "NUMBER", "TIMESTAMP_NTZ", "TIMESTAMP_TZ", "VARCHAR"),
    },
}


def text(dialect: str, name: str) -> str:
    return (QUERIES / dialect / f"{name}.sql").read_text()


def body(dialect: str, name: str) -> str:
    return re.sub(r"^\s*--.*$", "", text(dialect, name), flags=re.MULTILINE)


def test_the_files_are_what_the_templates_say():
    check = [sys.executable, QUERIES / "generate.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_question_is_in_the_list(root):
    readme = (QUERIES / "README.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)) == NAMES


@pytest.mark.parametrize(("dialect", "name"), FILES)
def test_a_file_says_what_it_answers_counts_and_takes(dialect, name):
    header = text(dialect, name).split("\n\n")[0]
    lines = header.splitlines()
    assert all(line.startswith("--") for line in lines)
    question = header.split("\n--\n")[0]
    assert question.endswith("?")
    told = {line.split()[1] for line in lines if line.startswith("--   ") and re.match(r"[$:@]", line.split()[1])}
    assert told == set(re.findall(PARAMETER[dialect], body(dialect, name)))
    for line in lines:
        if re.match(rf"--   \S*(since|until)\b", line):
            assert "UTC" in line or "counts" in line, line


@pytest.mark.parametrize(("dialect", "name"), FILES)
def test_sessions_say_which_end_counts(dialect, name):
    """A session has two ends: `stopped_at`, and `ended_at`, which 100ms does not always give."""
    if re.search(r"\bstopped_at\b", body(dialect, name)) and "sessions" in body(dialect, name):
        assert re.search(r"`(session_)?stopped_at`", text(dialect, name).split("\n\n")[0])
    assert "ended_at" not in re.sub(r"\bsession_ended_at\b", "", body(dialect, name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", FUNCTIONS)
def test_a_database_that_is_not_here_knows_every_word(dialect, name):
    sql = body(dialect, name)
    [tree] = sqlglot.parse(sql, read=dialect)
    assert not list(tree.find_all(exp.Command))
    named = {word.lower() for word in re.findall(r"\b(\w+)\s*\(", re.sub(r"'[^']*'", "''", sql))}
    # Names of common tables are followed by AS, types with digits by a bracket.
    unknown = named - FUNCTIONS[dialect] - SYNTAX - {name.lower() for name in TYPES[dialect]}
    assert not unknown
    types = set(re.findall(r"\bAS ([A-Z][A-Z0-9_]*)\b(?=[()])", sql))
    assert types <= TYPES[dialect]


@pytest.mark.parametrize(("dialect", "name"), FILES)
def test_nothing_divides_integers(dialect, name):
    """A share of two counts is 0 where integers divide without a rest."""
    [tree] = sqlglot.parse(re.sub(r":'(\w+)'", "'1'", body(dialect, name)), read=DIALECT_OF_SQLGLOT[dialect])
    for division in tree.find_all(exp.Div):
        assert not isinstance(division.this, exp.Count), division.sql()


DIALECT_OF_SQLGLOT = {name: name for name in DIALECTS} | {"postgresql": "postgres"}
