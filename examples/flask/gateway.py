"""What an app needs to talk to ws-gateway, whatever it does: copy this file."""

import hashlib
import hmac
import json
import os
import time
from urllib.request import Request, urlopen

GATEWAY = os.environ.get("GATEWAY", "http://127.0.0.1:40010")
SECRET = os.environ.get("CALLBACK_SECRET", "change me").encode()


def signed(header, body):
    """Say whether header, X-Ws-Signature, signs body: the bytes, before anything has parsed them."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    stamp = dict(parts).get("t", "")
    want = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    matches = any(name == "v1" and hmac.compare_digest(value.encode(), want) for name, value in parts)
    return matches and stamp.isdecimal() and abs(time.time() - int(stamp)) < 300


def call(route, command):
    """Post a command, such as conn/send, and raise an error unless it was done.

    Its time is shorter than the gateway's --callback-timeout, so that two attempts of an
    event do not overlap.
    """
    request = Request(f"{GATEWAY}/tapr/ws/{route}", json.dumps(command).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=5) as response:
        answer = json.load(response)
    if answer["code"] != 0:
        raise RuntimeError(f"{route}: {answer['message']} ({answer['code']})")
