// Pings, and what becomes of a connection that does not answer them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { given, ping, pong } from "./fake.mjs";

test("a ping leaves every 30 seconds, and pongs are not shown", (t) => {
  const g = given(t);
  g.socket.accept();
  g.pass(29_900);
  assert.deepEqual(g.socket.sent, []);
  for (let n = 1; n <= 10; n++) {
    g.pass(n === 1 ? 100 : 30_000);
    assert.deepEqual(g.socket.sent, Array(n).fill(ping));
    g.socket.receive(pong);
  }
  g.socket.receive('{"event":"pong","data":1}');
  assert.deepEqual(g.all("message").map((e) => e.data), ['{"event":"pong","data":1}'], "only the gateway's own pong is swallowed");
  assert.equal(g.client.state, "open");
});

test("without a pong for 10 seconds the connection is dead and another is made", (t) => {
  const g = given(t);
  g.socket.accept();
  const dead = g.socket;
  g.pass(39_900);
  assert.equal(g.client.state, "open");
  g.pass(100);
  assert.equal(g.client.state, "waiting");
  assert.ok(dead.closedWith, "the dead socket is let go of");
  const { code, reason, opened, wasClean } = g.last("reconnecting");
  assert.deepEqual({ code, reason, opened, wasClean }, { code: 1006, reason: "no pong in time", opened: true, wasClean: false });
  g.pass(1_000);
  assert.equal(g.sockets.length, 2);
  dead.receive("late");
  dead.end(1006);
  assert.equal(g.all("message").length, 0, "what the dead socket still says is nobody's");
  assert.equal(g.client.state, "connecting");
});

test("a dead socket of the package ws is cut off: it would wait half a minute for an answer to its close", (t) => {
  const g = given(t);
  g.socket.accept();
  let terminated = 0;
  g.socket.terminate = () => terminated++;
  g.pass(40_000);
  assert.deepEqual([terminated, g.socket.closedWith], [1, null]);
});

test("any message in place of the pong shows that the connection lives", (t) => {
  const g = given(t);
  g.socket.accept();
  g.pass(39_000);
  g.socket.receive("hello");
  g.pass(20_000);
  assert.equal(g.client.state, "open");
});

test("while an upload goes on the pong may take longer, and no longer than that", (t) => {
  const g = given(t);
  g.socket.accept();
  g.socket.bufferedAmount = 900_000;
  g.pass(30_000);
  for (const waiting of [600_000, 300_000, 1]) {
    g.socket.bufferedAmount = waiting;
    g.pass(10_000);
    assert.equal(g.client.state, "open", `${waiting} bytes left`);
  }
  g.pass(10_000);
  assert.equal(g.client.state, "waiting", "an upload that stands still is no sign of life");
});

test("an attempt that leads nowhere is given up after connectTimeout", (t) => {
  const g = given(t);
  g.pass(20_000);
  assert.equal(g.last("reconnecting").reason, "no connection within 20000 ms");
  assert.equal(g.last("reconnecting").opened, false);
  g.pass(1_000);
  assert.equal(g.sockets.length, 2);
});
