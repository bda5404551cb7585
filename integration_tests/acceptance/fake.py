"""Starts the fake 100ms API and talks to its controls."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import jwt

from connector import EXTRA


class Fake:
    """A workspace of 100ms on loopback; its truth is what a correct connector must emit."""

    def __init__(self, binary: Path, seed: int = 1, scale: str = "small", now: str | None = None):
        command = [str(binary), "--port", "0", "--seed", str(seed), "--scale", scale]
        command += ["--now", now] if now else []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = dict(self._process.stdout.readline().strip().split(": ", 1) for _ in range(4))
        self.url = said["url"]
        self._app_access_key = said["app_access_key"]
        self._app_secret = said["app_secret"]
        self.management_token = said["management_token"]

    def close(self) -> None:
        """Stop it, and fail if anybody asked what the API's documents do not allow."""
        unexpected = self._ask("GET", "/__control/requests")["unexpected"]
        self._process.kill()
        self._process.wait()
        assert not unexpected, unexpected

    def config(self, **credentials: str) -> dict:
        """A config for all streams of this workspace: with the app's credentials, unless told otherwise."""
        if "management_token" in credentials:
            kind = {"auth_type": "management_token"}
        else:
            kind = {
                "auth_type": "app_credentials",
                "app_access_key": self._app_access_key,
                "app_secret": self._app_secret,
            }
        return {
            "credentials": kind | credentials,
            "start_date": "2020-01-01T00:00:00Z",
            "api_url": self.url,
            "extra_streams": list(EXTRA),
        }

    def expired_token(self) -> str:
        """A token that was good for a week and expired a day ago."""
        day, now = 24 * 60 * 60, int(time.time())
        claims = {
            "access_key": self._app_access_key,
            "type": "management",
            "version": 2,
            "iat": now - 8 * day,
            "nbf": now - 8 * day,
            "exp": now - day,
            "jti": "expired-yesterday",
        }
        return jwt.encode(claims, self._app_secret, algorithm="HS256")

    def truth(self, start_date: str | None = None) -> dict[str, dict[str, dict]]:
        """Of every stream, the records by their keys."""
        query = f"?start_date={start_date}" if start_date else ""
        return self._ask("GET", f"/__control/truth{query}")["streams"]

    def advance(self) -> None:
        """An hour goes by: sessions end and start, rooms are edited, recordings complete."""
        self._ask("POST", "/__control/advance")

    def secrets(self) -> list[str]:
        """Everything in the workspace that must never leave a connector."""
        return self._ask("GET", "/__control/secrets")

    def _ask(self, method: str, path: str):
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
