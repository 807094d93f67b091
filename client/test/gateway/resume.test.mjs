// Sessions through lines that are cut, with a model of the gateway: each message once and
// in order, on both sides.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as soon } from "node:timers/promises";
import WebSocketOfPackage from "ws";
import { Client } from "ws-gateway-client";
import { lineTo } from "./line.mjs";
import { startModel } from "./model.mjs";

const timeout = 180_000; // for what must happen, however busy the machine
const count = 50;

// What each side says: texts of many lengths, one that begins with the mark, bytes, and
// nothing.
const odd = { 3: "", 7: "\u001e7", 11: "\u001e", 17: Uint8Array.of(0x1e, 0, 255), 23: "é".repeat(70) };
const said = Array.from({ length: count }, (_, n) => odd[n] ?? `${n} ${"x".repeat(n % 13)}`);
const readable = (data) => (typeof data === "string" ? data : [...new Uint8Array(data)]);
const expected = said.map(readable);

// quick is for a line that comes back as soon as it is cut.
const quick = { resume: true, backoffBase: 1, backoffMax: 10, restartSpread: 1 };

// conversations are with a model whose app answers the first message of each session with
// as many of its own. It counts the sessions that were resumed.
async function conversations(t) {
  const heard = new Map();
  const model = await startModel(t, (session) => {
    const got = [];
    session.onmessage = (data) => {
      if (got.length === 0) {
        heard.set(session, got);
        for (const data of said) session.send(data);
      }
      got.push(readable(data));
    };
  });
  return {
    resumed: () => [...model.sessions.values()].filter((session) => session.lines > 1).length,
    // run has one over a line with these cuts.
    async run(cuts, WebSocket = WebSocketOfPackage) {
      const line = await lineTo(t, model.address, cuts);
      const client = new Client(line.url, { WebSocket, ...quick });
      const events = [];
      const got = [];
      for (const type of ["lost", "close"]) client.addEventListener(type, () => events.push(type));
      await new Promise((resolve) => {
        client.addEventListener("message", ({ data }) => got.push(readable(data)) === count && resolve());
        for (const data of said) client.send(data);
      });
      assert.deepEqual(got, expected);
      const closed = new Promise((resolve) => client.addEventListener("close", resolve));
      while (client.bufferedMessages > 0) await soon(5); // until the gateway has them all
      assert.deepEqual(events, []);
      client.close();
      await closed;
      line.end();
      return line;
    },
    // heard is what the app has got: of each session that it has heard of.
    heard: () => [...heard.values()],
  };
}

describe("with a model of the gateway", { concurrency: 2 }, () => {
  for (const way of ["down", "up"]) {
    test(`a cut after each byte ${way}: every message once and in order`, { timeout: 3 * timeout }, async (t) => {
      const c = await conversations(t);
      const line = await c.run([]);
      const [head, bytes] = [line.heads[way], line.passed[way]];
      assert.ok(bytes - head > count * 8, `${head} ${bytes}`);
      const cuts = [];
      for (let n = 0; n <= bytes; n += n < head - 1 ? 16 : 1) cuts.push({ [way]: n }); // sparsely in the handshake
      let next = 0;
      const worker = async () => {
        while (next < cuts.length) await c.run([cuts[next++]]);
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      for (const got of c.heard()) assert.deepEqual(got, expected);
      assert.equal(c.heard().length, cuts.length + 1, "each conversation was in one session");
    });
  }

  for (const [name, WebSocket] of [["the package ws", WebSocketOfPackage], ["Node's own WebSocket", globalThis.WebSocket]]) {
    test(`${name}: several cuts in a conversation, among them the answer to a handshake three times running`, { timeout }, async (t) => {
      const c = await conversations(t);
      for (let n = 0; n < 40; n++) {
        await c.run([{ up: 450 + n * 20 }, { down: 0 }, { down: 20 }, { down: 129 }, { down: 280 + 9 * n }, { up: 500 + 7 * n }], WebSocket);
      }
      for (const got of c.heard()) assert.deepEqual(got, expected);
      assert.equal(c.heard().length, 40);
    });
  }
});
