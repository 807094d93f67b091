"""A chat behind ws-gateway, with Django."""

import json
import re
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.http import require_POST

from .gateway import call, signed
from .models import once


@ensure_csrf_cookie
def page(request):
    return FileResponse(Path(settings.BASE_DIR, "../page.html").open("rb"), content_type="text/html")


@require_POST
def login(request):
    """Stand for your login: this one believes everybody."""
    user = request.POST.get("user", "")
    if not re.fullmatch("[a-z0-9]{1,20}", user):
        return HttpResponse("a user's name has 1 to 20 of a-z and 0-9", status=400)
    request.session["user"] = user
    return HttpResponse(status=204)


@csrf_exempt  # the gateway has no token: it signs
@require_POST
def callback(request):
    if not signed(request.headers.get("X-Ws-Signature", ""), request.body):
        return answer(HttpResponse(status=503), {"X-Ws-Error": "signature"})
    event = json.loads(request.body)
    id = request.headers["X-Request-Id"]
    if event["action"] == "open":
        return open_connection(request.session.get("user"))
    if event["action"] == "message":
        return message(id, event["user_name"], event["data"])
    send(id, "lobby", {"event": "gone", "data": {"user": event["user_name"]}})
    return HttpResponse(status=204)


def open_connection(user):
    """Decide who may connect: the cookies are the client's, so its session is there."""
    if not user:
        return HttpResponse("log in first", status=401)
    return answer(JsonResponse({"event": "welcome", "data": {"user": user}}), {"X-Ws-User": user, "X-Ws-Join": "lobby"})


def message(id, user, said):
    match said:
        case {"event": "echo", "data": data}:
            return JsonResponse({"event": "echo", "data": data})
        case {"event": "join", "data": {"room": str(room)}} if is_room(room):
            send(id, room, {"event": "came", "data": {"room": room, "user": user}})
            return answer(JsonResponse({"event": "joined", "data": {"room": room}}), {"X-Ws-Join": quote(room, safe="")})
        case {"event": "leave", "data": {"room": str(room)}} if is_room(room):
            return answer(JsonResponse({"event": "left", "data": {"room": room}}), {"X-Ws-Leave": quote(room, safe="")})
        case {"event": "say", "data": {"room": str(room), "text": str(text)}} if is_room(room):
            send(id, room, {"event": "said", "data": {"room": room, "user": user, "text": text}})
            return HttpResponse(status=204)
    return JsonResponse({"event": "error", "data": {"text": "say join, leave or say, and a room"}})


def answer(response, headers):
    for name, value in headers.items():
        response[name] = value
    return response


def is_room(name):
    return 0 < len(name) <= 60 and name.isprintable()


def send(id, room, payload):
    """Say something to all who are in a room, once for each event.

    If that fails, Django answers 500, and the gateway sends the event again.
    """
    once(id, lambda: call("conn/send", {"groups": [room], "payload": payload}))
