// Ends that are asked for, and what is left behind.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Client, defaults } from "ws-gateway-client";
import { given, settle } from "./fake.mjs";

test("close says good-bye, waits for the answer, and is final", (t) => {
  const g = given(t);
  g.socket.accept();
  g.client.close(4000, "bye");
  assert.deepEqual(g.socket.closedWith, [4000, "bye"]);
  assert.equal(g.client.state, "closing");
  assert.equal(g.client.send("more"), false);
  g.client.close();
  g.socket.end(4000, "bye");
  assert.deepEqual([g.last("close").code, g.last("close").wasClean], [4000, true]);
  assert.equal(g.all("close").length, 1);
});

test("an unanswered close ends after 5 seconds", (t) => {
  const g = given(t);
  g.socket.accept();
  g.client.close();
  g.pass(4_900);
  assert.equal(g.client.state, "closing");
  g.pass(100);
  assert.deepEqual([g.last("close").code, g.last("close").wasClean], [1006, false]);
});

// In each state: how to get there.
const states = {
  connecting: () => {},
  open: (g) => g.socket.accept(),
  waiting: (g) => g.socket.end(),
  "open with a pong awaited": (g) => { g.socket.accept(); g.pass(30_000); },
};

for (const [state, reach] of Object.entries(states)) {
  test(`a signal closes a client that is ${state}, and no timer is left`, (t) => {
    const stop = new AbortController();
    const g = given(t, { signal: stop.signal });
    reach(g);
    stop.abort();
    if (g.client.state === "closing") g.socket.end(1000);
    assert.equal(g.client.state, "closed");
    assert.equal(g.all("close").length, 1);
    const events = g.events.length;
    const sent = g.socket.sent.length;
    const sockets = g.sockets.length;
    g.pass(600_000);
    g.client.check();
    assert.deepEqual([g.events.length, g.socket.sent.length, g.sockets.length], [events, sent, sockets]);
    assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  });
}

test("a signal that was given before opens no connection", (t) => {
  const g = given(t, { signal: AbortSignal.abort() });
  assert.equal(g.client.state, "closed");
  assert.equal(g.sockets.length, 0);
});

for (const type of ["state", "open", "reconnecting", "message"]) {
  test(`a listener of ${type} may close`, async (t) => {
    const g = given(t);
    g.client.send("waits");
    g.client.addEventListener(type, () => g.client.close(), { once: true });
    g.socket.accept();
    g.socket.receive("hello");
    g.socket.end(1006);
    g.pass(60_000);
    await settle();
    assert.equal(g.client.state, "closed");
    assert.equal(g.all("close").length, 1);
    assert.equal(g.sockets.length, 1);
  });
}

for (const state of ["open", "waiting", "connecting"]) {
  test(`a listener of state may close as soon as it is ${state}, and nothing follows`, (t) => {
    const g = given(t);
    g.client.addEventListener("state", (event) => {
      if (event.state === state) g.client.close();
    });
    g.socket.accept();
    g.socket.end(1006);
    g.pass(60_000);
    const told = g.events.map((e) => e.state ?? e.type);
    assert.deepEqual(told.slice(told.indexOf(state) + 1), state === "open" ? ["closing", "closed", "close"] : ["closed", "close"]);
    assert.equal(g.sockets.length, 1);
  });
}

test("the states are told in order", (t) => {
  const g = given(t);
  g.socket.accept();
  g.socket.end(1006);
  g.pass(1_000);
  g.socket.accept();
  g.client.close();
  g.socket.end(1000);
  assert.deepEqual(g.all("state").map((e) => e.state), ["open", "waiting", "connecting", "open", "closing", "closed"]);
  assert.deepEqual(g.events.filter((e) => e.type !== "state").map((e) => e.type), ["open", "reconnecting", "open", "close"]);
});

test("codes and reasons that no close frame can carry are refused", (t) => {
  const g = given(t);
  for (const code of [0, 999, 1001, 1006, 2999, 5000, 3000.5, "1000"]) assert.throws(() => g.client.close(code), RangeError);
  assert.throws(() => g.client.close(1000, "é".repeat(62)), RangeError);
  assert.equal(g.client.state, "connecting");
});

test("wrong options and addresses are refused by name", () => {
  class Never {
    constructor() {
      throw new SyntaxError("wrong protocol");
    }
  }
  const make = (url, options) => () => new Client(url, { WebSocket: Never, ...options });
  assert.throws(make("ws://a/ws", { pingIntervall: 1 }), /unknown option "pingIntervall"/);
  for (const value of ["30s", -1, NaN, Infinity, null, 0]) assert.throws(make("ws://a/ws", { pingInterval: value }), /option pingInterval must be a number/);
  assert.throws(make("ftp://a/ws"), /ftp:.*use ws, wss, http or https/);
  assert.throws(make("/ws"), /Invalid URL/);
  assert.throws(make("ws://a/ws"), /wrong protocol/);
  assert.throws(() => new Client("ws://a/ws", { WebSocket: 1 }), /package ws/);
});

test("undefined is a default, socketOptions reach the constructor", (t) => {
  const g = given(t, { pingInterval: undefined, protocols: "chat", socketOptions: { headers: { a: "b" } } });
  assert.deepEqual(g.socket.given, ["ws://gateway.test/ws", "chat", { headers: { a: "b" } }]);
  assert.equal(g.socket.binaryType, "arraybuffer");
  assert.ok(Object.isFrozen(defaults));
});
