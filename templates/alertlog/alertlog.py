"""Writes down what Alertmanager tells."""

import http.server
from pathlib import Path


class Told(http.server.BaseHTTPRequestHandler):
    """A request of Alertmanager's."""

    def do_POST(self) -> None:
        """Append its body."""
        body = self.rfile.read(min(int(self.headers["content-length"]), 1 << 20))
        with Path("/alerts/alerts.jsonl").open("ab") as file:
            file.write(body.strip() + b"\n")
        self.send_response(200)
        self.end_headers()


http.server.HTTPServer(("", 9095), Told).serve_forever()
