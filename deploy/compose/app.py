"""An app for compose.yaml: what a client says goes to all clients of all replicas."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

GATEWAY = os.environ.get("GATEWAY", "http://127.0.0.1:40011")  # the replica's own: it reaches the others
PORT = int(os.environ.get("PORT", "8888"))


def send(command):
    request = Request(GATEWAY + "/tapr/ws/conn/send", json.dumps(command).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=5) as response:
        answer = json.load(response)
    if answer["code"] != 0:
        print(answer["message"])  # 502 with "missing": the others have got it


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["action"] == "message":
            send({"all": True, "payload": {"from": event["user_name"], "said": event["data"]}})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), App).serve_forever()
