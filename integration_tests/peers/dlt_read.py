"""Reads 100ms with dlt's REST source and writes each record as a line, as the other readers do.

The source is tuned: pages of a hundred instead of the API's default of ten. Nothing is normalised or loaded, which a
dlt pipeline does next: what is measured is the reading alone.

    MANAGEMENT_TOKEN=… dlt_read.py URL STREAM…
"""

import os
import sys

from dlt.common.json import json
from dlt.sources.rest_api import rest_api_resources


def configuration(url: str, streams: list[str]) -> dict:
    return {
        "client": {
            "base_url": f"{url}/v2/",
            "auth": {"type": "bearer", "token": os.environ["MANAGEMENT_TOKEN"]},
            "paginator": {"type": "cursor", "cursor_path": "last", "cursor_param": "start"},
        },
        "resource_defaults": {
            "primary_key": "id",
            "endpoint": {"params": {"limit": 100}, "data_selector": "data"},
        },
        "resources": [{"name": stream, "endpoint": {"path": stream}} for stream in streams],
    }


def main() -> None:
    url, *streams = sys.argv[1:]
    for resource in rest_api_resources(configuration(url, streams)):
        for record in resource:
            line = {"type": "RECORD", "record": {"stream": resource.name, "data": record}}
            sys.stdout.buffer.write(json.dumpb(line) + b"\n")


if __name__ == "__main__":
    main()
