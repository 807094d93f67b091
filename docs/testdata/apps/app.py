import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

gateway = "http://127.0.0.1:40010"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(event["action"], event["user_name"], event["conn_id"])
        if event["action"] == "message":  # say it back
            command = {"conn_id": event["conn_id"], "payload": event["data"]}
            urlopen(gateway + "/tapr/ws/conn/send", json.dumps(command).encode()).close()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", 8888), Handler).serve_forever()
