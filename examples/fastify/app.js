// A chat behind ws-gateway, with Fastify.
import { readFile } from "node:fs/promises";
import cookie from "@fastify/cookie";
import formbody from "@fastify/formbody";
import Fastify from "fastify";
import { call, once, signed } from "./gateway.js";

const app = Fastify();
app.register(cookie, { secret: process.env.SESSION_SECRET ?? "change me, too" });
app.register(formbody);

app.get("/", async (_, reply) => reply.type("text/html").send(await readFile("../page.html")));

// Stands for your login: it believes everybody.
app.post("/login", async ({ body }, reply) => {
  if (!/^[a-z0-9]{1,20}$/.test(body?.user)) return reply.code(400).send("a user's name has 1 to 20 of a-z and 0-9");
  return reply.setCookie("user", body.user, { signed: true, httpOnly: true, sameSite: "lax", path: "/" }).code(204).send();
});

// A scope of its own for callbacks: what parses bodies elsewhere in the app does not here,
// because the signature is about the bytes. A message of 1 MiB may be six times as long in
// JSON.
app.register(async (callbacks) => {
  callbacks.removeAllContentTypeParsers();
  callbacks.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: 8 << 20 }, async (_, body) => body);
  callbacks.post("/ws/message", async (request, reply) => {
    if (!signed(request.headers["x-ws-signature"], request.body)) {
      return reply.header("X-Ws-Error", "signature").code(503).send();
    }
    const event = JSON.parse(request.body);
    const id = request.headers["x-request-id"];
    if (event.action === "open") return open(request, reply);
    if (event.action === "message") return message(id, event, reply);
    await send(id, "lobby", { event: "gone", data: { user: event.user_name } });
    return reply.code(204).send();
  });
});

// Who may connect: the cookies are the client's.
function open(request, reply) {
  const { valid, value: user } = request.unsignCookie(request.cookies.user ?? "");
  if (!valid) return reply.code(401).send("log in first");
  return reply.headers({ "X-Ws-User": user, "X-Ws-Join": "lobby" }).send({ event: "welcome", data: { user } });
}

async function message(id, { user_name: user, data: said }, reply) {
  const { room, text } = said?.data ?? {};
  if (said?.event === "echo") return { event: "echo", data: said.data };
  if (!isRoom(room)) return unknown;
  switch (said.event) {
    case "join":
      await send(id, room, { event: "came", data: { room, user } });
      reply.header("X-Ws-Join", encodeURIComponent(room));
      return { event: "joined", data: { room } };
    case "leave":
      reply.header("X-Ws-Leave", encodeURIComponent(room));
      return { event: "left", data: { room } };
    case "say":
      if (typeof text !== "string") return unknown;
      await send(id, room, { event: "said", data: { room, user, text } });
      return reply.code(204).send();
    default:
      return unknown;
  }
}

const unknown = { event: "error", data: { text: "say join, leave or say, and a room" } };

const isRoom = (room) => typeof room === "string" && /^[^\p{Cc}\p{Cs}]{1,60}$/u.test(room);

// To all who are in a room, once for each event. If that fails, Fastify answers 500, and the
// gateway sends the event again.
const send = (id, room, payload) => once(id, () => call("conn/send", { groups: [room], payload }));

await app.listen({ port: 8888, host: process.env.HOST ?? "127.0.0.1" });
