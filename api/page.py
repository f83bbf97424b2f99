"""The page at `/`, every route to try in a browser, and the document that it shows.

It loads nothing from elsewhere; the one that BentoML brings loads a tracker and pictures.
"""

from __future__ import annotations

import base64
import hashlib

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

__all__ = ["docs", "page"]

_SCRIPT = """
SwaggerUIBundle({
  url: "./docs.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""

_PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>usdcop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="./static_content/swagger-ui.css">
</head>
<body style="margin: 0">
<div id="page"></div>
<noscript>This page needs JavaScript; <a href="./docs.json">docs.json</a> does not.</noscript>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>{_SCRIPT}</script>
</body>
</html>
"""

_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()

# Swagger's page sets styles of its own.
_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_DIGEST}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def page() -> HTMLResponse:
    """Every route, to try in a browser."""
    return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY})


def docs(request: Request) -> Response:
    """This document."""
    # Made on a thread when it is first asked for: that takes longer than a decision may wait.
    content: bytes = request.app.state.document()
    return Response(content, media_type="application/json")
