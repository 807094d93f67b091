// What is said over lines that are cut, and an app that answers it.

import assert from "node:assert/strict";
import { setTimeout as soon } from "node:timers/promises";
import { Client } from "ws-gateway-client";
import { lineTo } from "./line.mjs";
import { startModel } from "./model.mjs";
import { world } from "./world.mjs";

export const count = 50;

// What each side says: texts of many lengths, one that begins with the mark, bytes, and
// nothing.
const odd = { 3: "", 7: "\u001e7", 11: "\u001e", 17: Uint8Array.of(0x1e, 0, 255), 23: "é".repeat(70) };
export const said = Array.from({ length: count }, (_, n) => odd[n] ?? `m${n} ${"x".repeat(n % 13)}`);
export const readable = (data) => (typeof data === "string" ? data : [...new Uint8Array(data)]);
export const expected = said.map(readable);

// quick is for a line that comes back as soon as it is cut.
export const quick = { resume: true, backoffBase: 1, backoffMax: 10, restartSpread: 1 };

// converse has a conversation over a line: the client says all at once, and is answered.
export async function converse(line, WebSocket) {
  const client = new Client(line.url, { WebSocket, ...quick });
  const events = [];
  const got = [];
  for (const type of ["lost", "close"]) client.addEventListener(type, () => events.push(type));
  await new Promise((resolve) => {
    client.addEventListener("message", ({ data }) => got.push(readable(data)) === count && resolve());
    for (const data of said) client.send(data);
  });
  assert.deepEqual(got, expected);
  for (client.check(); client.bufferedMessages > 0; client.check()) await soon(5); // until the gateway has them all
  assert.deepEqual(events, []);
  const closed = new Promise((resolve) => client.addEventListener("close", resolve));
  client.close();
  await closed;
  line.end();
  return line;
}

// aModel is a model whose app answers the first message of each session with as many of
// its own. heard is what it has got, of each session that it has heard of.
export async function aModel(t) {
  const heard = [];
  const { address } = await startModel(t, (session) => {
    const got = [];
    session.onmessage = (data) => {
      if (got.length === 0) {
        heard.push(got);
        for (const data of said) session.send(data);
      }
      got.push(readable(data));
    };
  });
  return { heard, lineTo: (cuts) => lineTo(t, address, cuts) };
}

// aGateway is the same with the real one.
export async function aGateway(t, ...options) {
  const heard = new Map();
  const w = await world(t, "--resume-for", "10m", ...options);
  const answer = async (conn_id) => {
    for (const data of said) {
      const text = typeof data === "string";
      const command = { conn_id, payload: text ? data : Buffer.from(data).toString("base64"), encoding: text ? "text" : "base64" };
      assert.equal((await w.call("send", command)).code, 0);
    }
  };
  const failed = [];
  const listen = async () => {
    for (;;) {
      const { conn_id, data, encoding } = await w.app.next("message");
      if (!heard.has(conn_id)) {
        heard.set(conn_id, []);
        answer(conn_id).catch((error) => failed.push(error));
      }
      heard.get(conn_id).push(encoding === "base64" ? [...Buffer.from(data, "base64")] : data);
    }
  };
  listen();
  t.after(() => assert.deepEqual(failed, []));
  // all is heard once so many sessions have brought everything: the gateway acknowledges what it has, and the app may
  // have it later.
  const all = async (sessions) => {
    while (heard.size < sessions || [...heard.values()].some((got) => got.length < expected.length)) await new Promise((resolve) => setTimeout(resolve, 5));
    return heard;
  };
  return { w, all, lineTo: (cuts) => lineTo(t, w.address, cuts) };
}

// randomCuts are cuts in what follows the handshake of a line that was not cut.
export function randomCuts(t, line, n) {
  const cuts = Array.from({ length: n }, () => {
    const way = Math.random() < 0.5 ? "up" : "down";
    const [head, bytes] = [line.heads[way], line.passed[way]];
    return { [way]: head + 1 + Math.floor(Math.random() * (bytes - head)) };
  });
  t.diagnostic(`cuts: ${JSON.stringify(cuts)}`);
  return cuts;
}
