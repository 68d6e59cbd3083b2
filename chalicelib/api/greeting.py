"""What answers at `/`: who this is, and where to read on."""

from __future__ import annotations

from typing import Any

from chalice.app import Response

from chalicelib.config import DEFAULT_API_VERSION
from chalicelib.http.routes import Routes

greeting = Routes(__name__)

PAGES = {
    "first_steps": "README.md",
    "routes": "docs/compatibility.md",
    "openapi": "docs/openapi.yaml",
}
"""Files of the repository."""

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Postern</title>
<h1>Postern</h1>
<p>The Nylas v2 API for email, version {version}. It speaks JSON, to programs.</p>
<p>The repository tells more: {pages}.</p>
"""


@greeting.route("/", methods=["GET"])
def show_greeting() -> Any:
    """Greet programs in JSON and people in HTML."""
    if "text/html" in greeting.current_request.headers.get("accept", ""):
        pages = ", ".join(f"<code>{page}</code>" for page in PAGES.values())
        page = _PAGE.format(version=DEFAULT_API_VERSION, pages=pages)
        return Response(page, headers={"Content-Type": "text/html; charset=utf-8"})
    return {"name": "Postern", "api_version": DEFAULT_API_VERSION, "documentation": PAGES}
