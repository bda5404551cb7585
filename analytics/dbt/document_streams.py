#!/usr/bin/env python3
"""Writes models/staging/streams.yml: the columns of each stream, from the connector's own schemas.

    python3 analytics/dbt/document_streams.py            writes the file
    python3 analytics/dbt/document_streams.py --check    fails if it is not what the schemas say

The key of a stream stands in its model; here it becomes the tests of that key. Needs nothing but Python.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parents[1] / "schemas"
STAGING = HERE / "models/staging"
FILE = STAGING / "streams.yml"
TYPES = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean"}
HEAD = """\
# Written by document_streams.py from the schemas of the connector: change those, not this.
version: 2
sources:
  - name: raw_100ms
    description: The tables that a loader of the connector's streams writes.
    database: "{{ var('source_database') or target.database }}"
    schema: "{{ var('source_schema') or target.schema }}"
    config: {loaded_at_field: _airbyte_extracted_at}
    tables:
"""
# Templates are read completely by each sync, so they tell when the last one was; the other streams may simply
# have nothing new.
FRESHNESS = {"template_settings": {"warn_after": {"count": 24, "period": "hour"}, "error_after": {"count": 72, "period": "hour"}}}


def kind(column: dict) -> str:
    if column.get("format") == "date-time":
        return "timestamp"
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    [said] = [t for t in types if t != "null"]
    return TYPES.get(said, "json")


def model(stream: str, schema: dict, key: list[str]) -> str:
    lines = [f"  - name: stg_{stream}", f"    description: {json.dumps(schema['description'])}"]
    if len(key) > 1:
        lines.append(f"    data_tests: [{{unique_key: {{arguments: {{columns: {json.dumps(key)}}}}}}}]")
    lines.append("    columns:")
    for name, column in schema["properties"].items():
        tests = ", data_tests: [unique, not_null]" if [name] == key else ", data_tests: [not_null]" if name in key and name != "rid" else ""
        lines.append(f"      - {{name: {name}, data_type: {kind(column)}, description: {json.dumps(column['description'], ensure_ascii=False)}{tests}}}")
    lines.append("      - {name: extracted_at, data_type: timestamp, description: When the loader wrote the row; null for files.}")
    return "\n".join(lines) + "\n"


def written() -> str:
    sources, models = "", ""
    for path in sorted(STAGING.glob("stg_*.sql")):
        stream = path.stem.removeprefix("stg_")
        schema = json.loads((SCHEMAS / f"{stream}.json").read_text())
        key = re.findall(r"'(\w+)'", re.search(r"key=\[(.*?)\]", path.read_text())[1])
        freshness = f", config: {{freshness: {json.dumps(FRESHNESS[stream])}}}" if stream in FRESHNESS else ""
        sources += f"      - {{name: {stream}, description: {json.dumps(schema['description'])}{freshness}}}\n"
        models += model(stream, schema, key)
    return f"{HEAD}{sources}models:\n{models}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text() != written():
            sys.exit(f"{FILE.name} is not what the schemas say: run document_streams.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_text(written())
