// The npm package ws, with which clients of the original are written, against
// the real binary.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import WebSocket from "ws";
import { queue, start } from "./program.mjs";

const timeout = 180_000; // for what must happen, however busy the machine

// app records the callbacks.
async function app(t) {
  const events = queue();
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    events.push({ headers: request.headers, body: JSON.parse(body), raw: body });
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { events, url: `http://127.0.0.1:${server.address().port}/websocket/message` };
}

test("a client of the npm package ws pings, sends, receives and is closed", { timeout }, async (t) => {
  const { events, url } = await app(t);
  const gateway = await start(["--listen", "127.0.0.1:0", "--callback-url", url, "--drain-period", "0s"], "ready");
  t.after(() => gateway.stop());
  const address = gateway.lines.ready.listen;
  const api = async (verb, command) => {
    const response = await fetch(`http://${address}/tapr/ws/conn/${verb}`, { method: command ? "POST" : "GET", body: command && JSON.stringify(command) });
    return response.json();
  };

  const received = queue();
  const ws = new WebSocket(`ws://${address}/ws?room=1`, { headers: { "X-Bfl-User": "alice", Cookie: "a=1; b=2" } });
  ws.on("message", (data, binary) => received.push({ text: data.toString("latin1"), binary }));
  await once(ws, "open");
  assert.equal(ws.extensions, "", "compression is off unless asked for");

  const open = await events.next();
  assert.deepEqual(Object.keys(open.body).slice(0, 4), ["data", "action", "user_name", "conn_id"]);
  assert.equal(open.body.action, "open");
  assert.equal(open.body.user_name, "alice");
  assert.deepEqual(open.body.data, {});
  assert.equal(open.headers.cookie, "a=1; b=2");
  const id = open.body.conn_id;

  ws.send(JSON.stringify({ event: "ping", data: {} }));
  assert.deepEqual(await received.next(), { text: '{"event":"pong"}', binary: false });

  ws.ping("are you there");
  const [echo] = await once(ws, "pong");
  assert.equal(echo.toString(), "are you there");

  ws.send('{"event":"move","data":{"x":12345678901234567890,"y":1.50}}');
  const message = await events.next();
  assert.equal(message.body.action, "message");
  assert.ok(message.raw.includes('"data":{"event":"move","data":{"x":12345678901234567890,"y":1.50}}'), message.raw);

  ws.send("x".repeat(300_000)); // longer than any one read of the gateway
  const long = await events.next();
  assert.equal(long.body.data.length, 300_000);
  assert.equal(long.body.encoding, "text");

  ws.send(Buffer.from([0, 255, 1]));
  const bytes = await events.next();
  assert.equal(bytes.body.encoding, "base64");
  assert.equal(bytes.body.data, "AP8B");

  assert.deepEqual(await api("send", { conn_id: id, payload: { b: 1, a: [] } }), { code: 0, message: "success" });
  assert.deepEqual(await received.next(), { text: '{"b":1,"a":[]}', binary: false });
  await api("send", { users: ["alice"], payload: "AP8B", encoding: "base64" });
  assert.deepEqual(await received.next(), { text: "\u0000\u00ff\u0001", binary: true });

  const list = await api("list");
  assert.equal(list.data[0].name, "alice");
  assert.equal(list.data[0].conns[0].id, id);

  await api("close", { conns: [id], code: 4001, reason: "enough" });
  const [code, reason] = await once(ws, "close");
  assert.equal(code, 4001);
  assert.equal(reason.toString(), "enough");
  const close = await events.next();
  assert.equal(close.body.action, "close");
  assert.equal(close.body.initiator, "app");
  assert.deepEqual(close.body.data, {});
  assert.equal(events.length, 0);
  assert.equal(received.length, 0);
});

test("a client that closes by itself and one that is drained give one close event each", { timeout }, async (t) => {
  const { events, url } = await app(t);
  const gateway = await start(["--listen", "127.0.0.1:0", "--callback-url", url, "--drain-period", "0s"], "ready");
  const address = gateway.lines.ready.listen;

  const leaving = new WebSocket(`ws://${address}/ws/`);
  await once(leaving, "open");
  assert.equal((await events.next()).body.action, "open");
  leaving.close(4321, "bye");
  const [code] = await once(leaving, "close");
  assert.equal(code, 4321);
  const close = (await events.next()).body;
  assert.deepEqual([close.action, close.code, close.reason, close.initiator], ["close", 4321, "bye", "client"]);

  const staying = new WebSocket(`ws://${address}/ws`);
  await once(staying, "open");
  assert.equal((await events.next()).body.action, "open");
  const gone = once(staying, "close");
  const { code: exitCode, log } = await gateway.stop();
  assert.equal((await gone)[0], 1001);
  const drained = (await events.next()).body;
  assert.deepEqual([drained.action, drained.code, drained.initiator], ["close", 1001, "gateway"]);
  assert.equal(exitCode, 0, log);
});
