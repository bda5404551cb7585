"""A stand-in for a self-managed Airbyte: what its API documents of custom connectors, and connections that it runs.

It takes only the members that the API documents, reads the form by starting the image, as Airbyte does, and runs
`check`, `discover` and `read` in pods. What it cannot do is pull an image: the engine must have it.
"""

import http.server
import json
import threading
from pathlib import Path

from connector import Output, configured, key_of, parse_output
from container import docker
from pod import READ, Pod

CLIENT = {"client_id": "an-application", "client_secret": "the-s3cret-of-an-application"}
WORKSPACE = "0c0d6c61-26a4-4e08-9a3b-2f6f0a9d7e10"
DEFINITION = "5d8f1f6e-7c39-4a41-9d0b-3f2c8b7a6e55"
TOKEN = "a-token-of-the-application"
# The members that the API documents, and whether it requires them.
DEFINITION_MEMBERS = {
    "name": True,
    "dockerRepository": True,
    "dockerImageTag": True,
    "documentationUrl": True,
    "icon": False,
    "resourceRequirements": False,
    "connectorSpecification": False,
}


class Refusal(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class AirbyteApi:
    """Listens on loopback. `requests` has the endpoint and the body of each request."""

    def __init__(self, has_images: bool = False):
        self.requests: list[tuple[str, dict]] = []
        self.definitions: list[dict] = []
        self.specs: dict[str, dict] = {}
        # What it answers instead, by endpoint.
        self.refuse: dict[str, Refusal] = {}
        self._has_images = has_images
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self) -> list[str]:
        return [endpoint for endpoint, _ in self.requests]

    def _handler(self) -> type:
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    status, answer = 200, api._answer(self.path, self.headers, json.loads(body))
                except Refusal as refusal:
                    status, answer = refusal.status, {"message": str(refusal)}
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, path: str, headers, body: dict) -> dict:
        endpoint = path.removeprefix("/api/v1/")
        self.requests.append((endpoint, body))
        if endpoint in self.refuse:
            raise self.refuse[endpoint]
        if headers["Content-Type"] != "application/json":
            raise Refusal(415, "this is not JSON")
        if endpoint == "applications/token":
            if body != CLIENT:
                raise Refusal(401, "Unauthorized")
            return {"access_token": TOKEN}
        if headers["Authorization"] != f"Bearer {TOKEN}":
            raise Refusal(401, "Unauthorized")
        if body.get("workspaceId") != WORKSPACE:
            raise Refusal(403, "Forbidden")
        match endpoint:
            case "source_definitions/list_for_workspace":
                return {"sourceDefinitions": self.definitions}
            case "source_definitions/create_custom":
                return self._create(body)
            case "source_definitions/update":
                return self._update(body)
        raise Refusal(404, f"no endpoint {endpoint}")

    def _create(self, body: dict) -> dict:
        definition = body.pop("sourceDefinition")
        missing = [name for name, required in DEFINITION_MEMBERS.items() if required and not definition.get(name)]
        unknown = (definition.keys() - DEFINITION_MEMBERS) | (body.keys() - {"workspaceId", "scopeId", "scopeType"})
        if missing or unknown:
            raise Refusal(422, f"missing: {missing}, unknown: {sorted(unknown)}")
        self._start(definition)
        self.definitions.append(definition | {"sourceDefinitionId": DEFINITION, "custom": True})
        return self.definitions[-1]

    def _update(self, body: dict) -> dict:
        if body.keys() - {"workspaceId", "sourceDefinitionId", "dockerImageTag", "name", "resourceRequirements"}:
            raise Refusal(422, f"unknown: {sorted(body)}")
        [known] = [one for one in self.definitions if one["sourceDefinitionId"] == body["sourceDefinitionId"]]
        self._start(known | {"dockerImageTag": body["dockerImageTag"]})
        known["dockerImageTag"] = body["dockerImageTag"]
        return known

    def _start(self, definition: dict) -> None:
        """Reads the form, which Airbyte does before it answers."""
        if not self._has_images:
            return
        name = f"{definition['dockerRepository']}:{definition['dockerImageTag']}"
        done = docker("run", "--rm", "--network=none", name, "spec", check=False)
        if done.returncode != 0:
            raise Refusal(422, f"the image {name} cannot be started")
        self.specs[DEFINITION] = parse_output(["spec"], 0, done.stdout, done.stderr).only("SPEC")


class Connection:
    """A source of a definition and a destination that deduplicates by key, synced as often as it is told to."""

    def __init__(self, api: AirbyteApi, config: dict, folder: Path):
        [definition] = api.definitions
        self.image = f"{definition['dockerRepository']}:{definition['dockerImageTag']}"
        self.config, self.folder, self.state = config, folder, []
        self.tables: dict[str, dict[tuple, dict]] = {}
        self._pods = 0
        flags = "--config connectionConfiguration.json"
        status = self._run(f"check {flags}", connectionConfiguration=config).only("CONNECTION_STATUS")
        assert status["status"] == "SUCCEEDED", status
        self.catalog = self._run(f"discover {flags}", connectionConfiguration=config).only("CATALOG")

    def sync(self, only: list[str] | None = None) -> int:
        """The number of records. A stream without a cursor overwrites its table, the others are merged by key."""
        catalog = configured(self.catalog, "incremental", only)
        read = self._run(READ, connectorConfig=self.config, catalog=catalog, inputState=self.state)
        for stream in catalog["streams"]:
            name = stream["stream"]["name"]
            assert read.statuses(name)[-1] == "COMPLETE", name
            if stream["sync_mode"] == "full_refresh":
                self.tables[name] = {}
            rows = {key_of(name, record): record for record in read.records(name)}
            self.tables.setdefault(name, {}).update(rows)
        newest = {state["stream"]["stream_descriptor"]["name"]: state for state in [*self.state, *read.final_state()]}
        self.state = list(newest.values())
        return len(read.of_type("RECORD"))

    def _run(self, command: str, **files: object) -> Output:
        self._pods += 1
        folder = self.folder / f"pod-{self._pods}"
        folder.mkdir()
        pod = Pod(self.image, folder, command, [], {f"{name}.json": content for name, content in files.items()})
        assert pod.finish() == (0, ""), pod.outputs
        assert pod.exit_code() == 0, pod.outputs
        return pod.output(0)
