"""An API whose every field holds something that its reference does not say."""

import http.server
import threading
from urllib.parse import parse_qs, urlsplit

# JSON as text: Python's own writer would not write most of these.
ODD_VALUES = {
    "half_of_a_letter": r'"a\ud83db"',
    "zero_letter": r'"a\u0000b"',
    # Goes out as the byte 0xFF, which is not UTF-8.
    "bad_byte": '"a\udcffb"',
    "beyond_floats": "1e400",
    "minus_zero": "-0",
    "beyond_64_bits": "1" + "0" * 30,
    "beyond_signed": "9223372036854775808",
    "very_long": "1." + "3" * 5000,
    "text_of_a_number": '"12"',
    "text_beyond_floats": '"1e400"',
    "text_of_truth": '"true"',
    "truth": "true",
    "number": "12.5",
    "object": r'{"a\ud83d":"\u0000","n":1e400,"list":[{"b\u0000":null}]}',
    "list": r'[1,"\udc00",null,{"a":1e400},[true]]',
    "line_breaks": '"a\u2028b\u2029c\u0085d"',
    "deep": "[" * 600 + '"x"' + "]" * 600,
    "nothing": "null",
}

ROOM_FIELDS = ["name", "enabled", "description", "customer_id", "recording_info", "template_id", "region", "key",
               "large_room", "size", "max_duration_seconds", "polls", "webhook"]  # fmt: skip
SESSION_FIELDS = ["room_id", "customer_id", "app_id", "user_id"]
PEER_FIELDS = ["session_id", "name", "role", "user_id", "user", "metadata"]
TEMPLATE_FIELDS = ["name", "default", "customer_id", "app_id", "roles", "settings", "destinations", "plugins"]

CREATED = '"created_at":"2025-05-01T10:00:00Z","updated_at":"2025-05-01T11:00:00Z"'


def item(kind: str, case: str, fields: list[str], value: str, more: str = "") -> str:
    members = ",".join(f'"{field}":{value}' for field in fields)
    return f'{{"id":"{kind}-{case}",{CREATED},{members}{more}}}'


def rooms() -> list[str]:
    return [item("room", case, ROOM_FIELDS, value) for case, value in ODD_VALUES.items()]


def sessions() -> list[str]:
    def peers(value: str) -> str:
        fields = ",".join(f'"{field}":{value}' for field in PEER_FIELDS)
        return f',"active":"false","peers":{{"p":{{"id":12,{fields}}}}}'

    return [item("session", case, SESSION_FIELDS, value, peers(value)) for case, value in ODD_VALUES.items()]


def templates() -> list[str]:
    return [item("template", case, TEMPLATE_FIELDS, value) for case, value in ODD_VALUES.items()]


class OddApi:
    """Answers three lists, newest first, with an item for each odd value, and all others with nothing."""

    STREAMS = ("rooms", "sessions", "templates")

    def __init__(self):
        api = self

        class Request(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = api._answer(self.path).encode(errors="surrogateescape")
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """The test says what went wrong."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, path: str) -> str:
        address = urlsplit(path)
        query = parse_qs(address.query)
        items = []
        match address.path.removeprefix("/v2/"):
            case "rooms" if query.get("enabled") != ["false"]:
                items = rooms()
            case "sessions" if query.get("active") != ["true"]:
                items = sessions()
            case "templates":
                items = templates()
        return f'{{"limit":100,"data":[{",".join(items)}],"last":""}}'

    def config(self) -> dict:
        return {
            "credentials": {
                "auth_type": "app_credentials",
                "app_access_key": "odd",
                "app_secret": "odd-secret-of-the-app",
            },
            "start_date": "2025-01-01T00:00:00Z",
            "api_url": f"http://127.0.0.1:{self._server.server_port}",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
