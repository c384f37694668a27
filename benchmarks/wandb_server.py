"""Answers what the client of Weights & Biases asks for a run, and forgets it; to be killed midway.

    python benchmarks/wandb_server.py PORT

Not their server: it says yes to everything, in the forms that wandb 0.31 expects.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROJECT = {"id": "p", "name": "lightning_gans", "entity": {"id": "e", "name": "me"}}
BUCKET = {"id": "b", "name": "r", "displayName": "r", "historyLineCount": 0, "project": PROJECT}
VIEWER = {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
ANSWERS = {
    "viewer": VIEWER,
    "serverInfo": {"features": []},
    "model": {"bucket": None, "name": "lightning_gans"},
    "upsertBucket": {"bucket": BUCKET, "inserted": True},
    "createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []},
}


class Agreeing(BaseHTTPRequestHandler):
    """Says yes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read what is sent, and answer every query at once."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps({} if "file_stream" in self.path else {"data": ANSWERS}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agreeing).serve_forever()
