import hashlib
import hmac
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

secret = b"change me"

def verify(header, body, now):
    """header is X-Ws-Signature, body the bytes as they came, before anything has parsed them."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    stamp = dict(parts).get("t", "")
    want = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    signed = any(name == "v1" and hmac.compare_digest(value.encode(), want.encode()) for name, value in parts)
    return signed and stamp.isdecimal() and abs(now - int(stamp)) < 300

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = verify(self.headers.get("X-Ws-Signature", ""), body, time.time())
        self.send_response(200 if signed else 503)
        if not signed:
            self.send_header("X-Ws-Error", "signature")  # the gateway's mistake, not the client's
        self.send_header("Content-Length", "0")
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", 8888), Handler).serve_forever()
