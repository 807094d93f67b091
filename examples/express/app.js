// A chat behind ws-gateway, with Express.
import cookieSession from "cookie-session";
import express from "express";
import { call, once, signed } from "./gateway.js";

const app = express();
app.use(cookieSession({ secret: process.env.SESSION_SECRET ?? "change me, too", sameSite: "lax" }));

app.get("/", (_, response) => response.sendFile("page.html", { root: ".." }));

// Stands for your login: it believes everybody.
app.post("/login", express.urlencoded(), ({ body, session }, response) => {
  if (!/^[a-z0-9]{1,20}$/.test(body?.user)) return response.status(400).send("a user's name has 1 to 20 of a-z and 0-9");
  session.user = body.user;
  response.sendStatus(204);
});

// The signature is about the bytes, so they are not parsed before it is verified. A message
// of 1 MiB may be six times as long in JSON.
app.post("/ws/message", express.raw({ type: () => true, limit: "8mb" }), async (request, response) => {
  if (!signed(request.get("X-Ws-Signature"), request.body)) {
    return response.set("X-Ws-Error", "signature").sendStatus(503);
  }
  const event = JSON.parse(request.body);
  const id = request.get("X-Request-Id");
  if (event.action === "open") open(request.session, response);
  else if (event.action === "message") await message(id, event, response);
  else await send(id, "lobby", { event: "gone", data: { user: event.user_name } });
  if (!response.headersSent) response.sendStatus(204);
});

// Who may connect: the cookies are the client's, so its session is there.
function open(session, response) {
  if (!session.user) return response.status(401).send("log in first");
  response.set({ "X-Ws-User": session.user, "X-Ws-Join": "lobby" });
  response.json({ event: "welcome", data: { user: session.user } });
}

async function message(id, { user_name: user, data: said }, response) {
  const { room, text } = said?.data ?? {};
  if (said?.event === "echo") {
    response.json({ event: "echo", data: said.data });
  } else if (!isRoom(room)) {
    response.json(unknown);
  } else if (said.event === "join") {
    await send(id, room, { event: "came", data: { room, user } });
    response.set("X-Ws-Join", encodeURIComponent(room)).json({ event: "joined", data: { room } });
  } else if (said.event === "leave") {
    response.set("X-Ws-Leave", encodeURIComponent(room)).json({ event: "left", data: { room } });
  } else if (said.event === "say" && typeof text === "string") {
    await send(id, room, { event: "said", data: { room, user, text } });
  } else {
    response.json(unknown);
  }
}

const unknown = { event: "error", data: { text: "say join, leave or say, and a room" } };

const isRoom = (room) => typeof room === "string" && /^[^\p{Cc}\p{Cs}]{1,60}$/u.test(room);

// To all who are in a room, once for each event. If that fails, Express answers 500, and the
// gateway sends the event again.
const send = (id, room, payload) => once(id, () => call("conn/send", { groups: [room], payload }));

app.listen(8888, process.env.HOST ?? "127.0.0.1");
