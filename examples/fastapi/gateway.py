"""What an app with asyncio needs to talk to ws-gateway, whatever it does: copy this file."""

import hashlib
import hmac
import os
import time

import httpx

SECRET = os.environ.get("CALLBACK_SECRET", "change me").encode()
REMEMBERED = 10_000

# Its timeout is shorter than the gateway's --callback-timeout, so that two attempts of an
# event do not overlap.
gateway = httpx.AsyncClient(base_url=os.environ.get("GATEWAY", "http://127.0.0.1:40010"), timeout=5)
handled = {}


def signed(header, body):
    """Say whether header, X-Ws-Signature, signs body: the bytes, before anything has parsed them."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    stamp = dict(parts).get("t", "")
    want = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    matches = any(name == "v1" and hmac.compare_digest(value.encode(), want) for name, value in parts)
    return matches and stamp.isdecimal() and abs(time.time() - int(stamp)) < 300


async def call(route, command):
    """Post a command, such as conn/send, and raise an error unless it was done."""
    answer = (await gateway.post(f"/tapr/ws/{route}", json=command)).json()
    if answer["code"] != 0:
        raise RuntimeError(f"{route}: {answer['message']} ({answer['code']})")


async def once(id, act):
    """Act unless that has been done for this X-Request-Id: an event comes again if its answer was lost.

    The oldest are forgotten, and all of them with the process.
    """
    if id in handled:
        return
    await act()
    handled[id] = True
    if len(handled) > REMEMBERED:
        del handled[next(iter(handled))]
