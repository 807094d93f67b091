"""A chat behind ws-gateway, with FastAPI."""

import json
import os
import re
from urllib.parse import quote

from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.sessions import SessionMiddleware

from gateway import call, once, signed

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SESSION_SECRET", "change me, too"), same_site="lax")


@app.get("/")
async def page():
    return FileResponse("../page.html")


@app.post("/login", status_code=204)
async def login(request: Request, user: str = Form("")):
    """Stand for your login: this one believes everybody."""
    if not re.fullmatch("[a-z0-9]{1,20}", user):
        raise HTTPException(400, "a user's name has 1 to 20 of a-z and 0-9")
    request.session["user"] = user


@app.post("/ws/message")
async def callback(request: Request):
    body = await request.body()
    if not signed(request.headers.get("X-Ws-Signature", ""), body):
        return Response(status_code=503, headers={"X-Ws-Error": "signature"})
    event = json.loads(body)
    id = request.headers["X-Request-Id"]
    if event["action"] == "open":
        return open_connection(request.session.get("user"))
    if event["action"] == "message":
        return await message(id, event["user_name"], event["data"])
    await send(id, "lobby", {"event": "gone", "data": {"user": event["user_name"]}})
    return Response(status_code=204)


def open_connection(user):
    """Decide who may connect: the cookies are the client's, so its session is there."""
    if not user:
        return Response("log in first", 401)
    return JSONResponse({"event": "welcome", "data": {"user": user}}, headers={"X-Ws-User": user, "X-Ws-Join": "lobby"})


async def message(id, user, said):
    match said:
        case {"event": "echo", "data": data}:
            return JSONResponse({"event": "echo", "data": data})
        case {"event": "join", "data": {"room": str(room)}} if is_room(room):
            await send(id, room, {"event": "came", "data": {"room": room, "user": user}})
            return JSONResponse({"event": "joined", "data": {"room": room}}, headers={"X-Ws-Join": quote(room, safe="")})
        case {"event": "leave", "data": {"room": str(room)}} if is_room(room):
            return JSONResponse({"event": "left", "data": {"room": room}}, headers={"X-Ws-Leave": quote(room, safe="")})
        case {"event": "say", "data": {"room": str(room), "text": str(text)}} if is_room(room):
            await send(id, room, {"event": "said", "data": {"room": room, "user": user, "text": text}})
            return Response(status_code=204)
    return JSONResponse({"event": "error", "data": {"text": "say join, leave or say, and a room"}})


def is_room(name):
    return 0 < len(name) <= 60 and name.isprintable()


async def send(id, room, payload):
    """Say something to all who are in a room, once for each event.

    If that fails, FastAPI answers 500, and the gateway sends the event again.
    """
    await once(id, lambda: call("conn/send", {"groups": [room], "payload": payload}))
