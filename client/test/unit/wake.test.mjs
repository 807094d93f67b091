// Hidden pages, sleep, networks that come and go.

import assert from "node:assert/strict";
import { test } from "node:test";
import { given, ping, pong } from "./fake.mjs";

// aPage gives Node the events of a browser's page until the test has ended.
function aPage(t) {
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const view = new EventTarget();
  const counts = new Map();
  for (const target of [page, view]) {
    const { addEventListener, removeEventListener } = target;
    target.addEventListener = (type, f) => { counts.set(type, (counts.get(type) ?? 0) + 1); addEventListener.call(target, type, f); };
    target.removeEventListener = (type, f) => { counts.set(type, counts.get(type) - 1); removeEventListener.call(target, type, f); };
  }
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const network = { onLine: true };
  Object.defineProperty(globalThis, "navigator", { value: network, configurable: true });
  Object.assign(globalThis, { document: page, addEventListener: view.addEventListener, removeEventListener: view.removeEventListener });
  t.after(() => {
    delete globalThis.document;
    delete globalThis.addEventListener; // not its counterpart: the client is closed after this
    if (before) Object.defineProperty(globalThis, "navigator", before);
    else delete globalThis.navigator;
  });
  return { page, network, counts, fire: (type) => (type === "visibilitychange" || type === "resume" ? page : view).dispatchEvent(new Event(type)) };
}

for (const type of ["visibilitychange", "resume", "pageshow", "online", "offline"]) {
  test(`on ${type} an open connection is checked at once, with 5 seconds for the pong`, (t) => {
    const { fire } = aPage(t);
    const g = given(t);
    g.socket.accept();
    g.pass(12_345);
    fire(type);
    assert.deepEqual(g.socket.sent, [ping]);
    fire(type);
    assert.deepEqual(g.socket.sent, [ping], "one check at a time");
    g.pass(4_900);
    assert.equal(g.client.state, "open");
    g.pass(100);
    assert.equal(g.client.state, "waiting");
  });
}

test("a page that becomes hidden checks nothing", (t) => {
  const { fire, page } = aPage(t);
  const g = given(t);
  g.socket.accept();
  page.visibilityState = "hidden";
  fire("visibilitychange");
  assert.deepEqual(g.socket.sent, []);
});

test("the check comes in time although a ping is on its way already", (t) => {
  const { fire } = aPage(t);
  const g = given(t);
  g.socket.accept();
  g.pass(30_000);
  fire("online");
  g.pass(5_000);
  assert.equal(g.client.state, "waiting");
});

test("online and a look at the page end the wait, once a second at most", (t) => {
  const { fire, network } = aPage(t);
  const g = given(t);
  for (let n = 0; n < 6; n++) {
    g.socket.end();
    g.pass(g.last("reconnecting").delay);
  }
  g.socket.end();
  assert.equal(g.last("reconnecting").delay, 30_000);
  network.onLine = false;
  fire("visibilitychange");
  g.pass(2_000);
  assert.equal(g.sockets.length, 7, "nothing is tried without a network");
  network.onLine = true;
  fire("online");
  g.pass(1);
  assert.equal(g.sockets.length, 8);
  g.socket.end();
  for (let n = 0; n < 20; n++) fire("visibilitychange");
  g.pass(900);
  assert.equal(g.sockets.length, 8);
  g.pass(200);
  assert.equal(g.sockets.length, 9);
});

test("a look at the page does not come before the time that the app has asked for", async (t) => {
  const { fire } = aPage(t);
  const g = given(t, { retry: () => 60_000 });
  g.socket.end();
  await new Promise((resolve) => setImmediate(resolve));
  fire("online");
  g.pass(59_900);
  assert.equal(g.sockets.length, 1);
  g.pass(100);
  assert.equal(g.sockets.length, 2);
});

test("sleep is noticed when the timers come late, and answered by a check", (t) => {
  const g = given(t);
  g.socket.accept();
  g.pass(10_000);
  g.sleep(3_600_000);
  assert.deepEqual(g.socket.sent, [ping]);
  assert.equal(g.client.state, "open", "nothing is given up because a clock jumped");
  g.socket.receive(pong);
  g.pass(29_000);
  assert.equal(g.client.state, "open");
  g.sleep(3_600_000);
  g.pass(5_000);
  assert.equal(g.client.state, "waiting");
});

test("a pong that was awaited when the machine fell asleep gets a second chance, each time", (t) => {
  const g = given(t);
  g.socket.accept();
  for (let n = 1; n <= 3; n++) {
    g.pass(30_000);
    g.sleep(3_600_000);
    assert.equal(g.client.state, "open");
    assert.equal(g.socket.sent.length, 2 * n, "a ping, and after the sleep another");
    g.socket.receive(pong);
  }
  g.pass(10_000);
  assert.equal(g.client.state, "open");
});

test("where timers are a minute late each time, a dead connection is still found", (t) => {
  const g = given(t);
  g.socket.accept();
  for (let minutes = 0; minutes < 10; minutes++) {
    g.sleep(60_000);
    g.socket.receive(pong);
  }
  assert.deepEqual(g.socket.sent, Array(10).fill(ping), "and a living one is pinged each minute");
  g.sleep(60_000);
  g.sleep(60_000);
  g.sleep(60_000);
  assert.equal(g.sockets[0].closedWith === null, false);
});

test("a clock that is set back does not stop the pings", (t) => {
  const g = given(t);
  g.socket.accept();
  g.pass(1_000);
  const now = Date.now;
  t.mock.method(Date, "now", () => now() - 3_600_000);
  g.pass(5_000);
  assert.deepEqual(g.socket.sent, [ping], "the jump looks like sleep, and is checked");
  g.socket.receive(pong);
  g.pass(30_000);
  assert.deepEqual(g.socket.sent, [ping, ping], "from then on all is as before");
});

test("a clock that is set back does not make a wait longer, whoever looks", (t) => {
  const { fire } = aPage(t);
  const g = given(t, { backoffBase: 10_000 });
  g.socket.end();
  g.pass(10_000);
  g.socket.end();
  const { delay } = g.last("reconnecting");
  const now = Date.now;
  t.mock.method(Date, "now", () => now() - 3_600_000);
  fire("online");
  g.pass(delay);
  assert.equal(g.sockets.length, 3);
});

test("close leaves no listener on the page", (t) => {
  const { counts } = aPage(t);
  const g = given(t);
  assert.deepEqual(Object.fromEntries(counts), { visibilitychange: 1, resume: 1, pageshow: 1, online: 1, offline: 1 });
  g.client.close();
  assert.deepEqual([...counts.values()], [0, 0, 0, 0, 0]);
});
