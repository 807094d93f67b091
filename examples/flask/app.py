"""A chat behind ws-gateway, with Flask."""

import json
import os
import re
from urllib.parse import quote

from flask import Flask, request, send_file, session

from gateway import call, signed
from handled import once

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ.get("SESSION_SECRET", "change me, too"),
    SESSION_COOKIE_SAMESITE="Lax",
    MAX_CONTENT_LENGTH=8 << 20,  # a message of 1 MiB may be six times as long in JSON
)


@app.get("/")
def page():
    return send_file("../page.html")


@app.post("/login")
def login():
    """Stand for your login: this one believes everybody."""
    user = request.form.get("user", "")
    if not re.fullmatch("[a-z0-9]{1,20}", user):
        return "a user's name has 1 to 20 of a-z and 0-9", 400
    session["user"] = user
    return "", 204


@app.post("/ws/message")
def callback():
    body = request.get_data()
    if not signed(request.headers.get("X-Ws-Signature", ""), body):
        return "", 503, {"X-Ws-Error": "signature"}
    event = json.loads(body)
    id = request.headers["X-Request-Id"]
    if event["action"] == "open":
        return open_connection()
    if event["action"] == "message":
        return message(id, event["user_name"], event["data"])
    send(id, "lobby", {"event": "gone", "data": {"user": event["user_name"]}})
    return "", 204


def open_connection():
    """Decide who may connect: the cookies are the client's, so its session is there."""
    user = session.get("user")
    if not user:
        return "log in first", 401
    return {"event": "welcome", "data": {"user": user}}, {"X-Ws-User": user, "X-Ws-Join": "lobby"}


def message(id, user, said):
    match said:
        case {"event": "echo", "data": data}:
            return {"event": "echo", "data": data}
        case {"event": "join", "data": {"room": str(room)}} if is_room(room):
            send(id, room, {"event": "came", "data": {"room": room, "user": user}})
            return {"event": "joined", "data": {"room": room}}, {"X-Ws-Join": quote(room, safe="")}
        case {"event": "leave", "data": {"room": str(room)}} if is_room(room):
            return {"event": "left", "data": {"room": room}}, {"X-Ws-Leave": quote(room, safe="")}
        case {"event": "say", "data": {"room": str(room), "text": str(text)}} if is_room(room):
            send(id, room, {"event": "said", "data": {"room": room, "user": user, "text": text}})
            return "", 204
    return {"event": "error", "data": {"text": "say join, leave or say, and a room"}}


def is_room(name):
    return 0 < len(name) <= 60 and name.isprintable()


def send(id, room, payload):
    """Say something to all who are in a room, once for each event.

    If that fails, Flask answers 500, and the gateway sends the event again.
    """
    once(id, lambda: call("conn/send", {"groups": [room], "payload": payload}))
