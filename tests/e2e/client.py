"""The API of one account, read by requests."""

from __future__ import annotations

import time
from typing import Any

import requests


class Client:
    """The API of one account, page after page."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Any:
        answer = self._session.get(self._url + path, params=query, timeout=120)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, path: str) -> list[dict[str, Any]]:
        """Return every object of a collection."""
        found: list[dict[str, Any]] = []
        while page := self.get(path, limit=500, offset=len(found), view="expanded"):
            found += page
        return found

    def deltas(self, cursor: str) -> list[dict[str, Any]]:
        """Return every delta after a cursor."""
        found: list[dict[str, Any]] = []
        while page := self.get("/delta", cursor=cursor, limit=500):
            found += page["deltas"]
            if page["cursor_end"] == cursor:
                return found
            cursor = page["cursor_end"]
        return found

    def quiet(self) -> bool:
        """Tell whether the log stands still for two seconds."""
        before = self._latest()
        time.sleep(2)
        return self._latest() == before

    def _latest(self) -> str:
        answer = self._session.post(self._url + "/delta/latest_cursor", timeout=30)
        return str(answer.json()["cursor"])
