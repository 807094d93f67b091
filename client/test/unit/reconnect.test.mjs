// After which ends the client comes back, and when.

import assert from "node:assert/strict";
import { test } from "node:test";
import { given, settle } from "./fake.mjs";

const final = [1000, 1002, 1003, 1007, 1009, 1010, 3000, 4000, 4001, 4999];
const passing = [1001, 1005, 1006, 1008, 1011, 1012, 1013, 1014, 1015, 2999, 5000];

for (const code of final) {
  test(`${code} is final`, (t) => {
    const g = given(t);
    g.socket.accept();
    g.socket.end(code, "enough");
    const { reason, wasClean, unsent } = g.last("close");
    assert.deepEqual([g.last("close").code, reason, wasClean, unsent], [code, "enough", true, []]);
    g.pass(600_000);
    assert.equal(g.sockets.length, 1);
    assert.equal(g.client.state, "closed");
  });
}

for (const code of passing) {
  test(`${code} is not final`, (t) => {
    const g = given(t);
    g.socket.accept();
    g.socket.end(code, "for now");
    assert.equal(g.client.state, "waiting");
    assert.deepEqual([g.last("reconnecting").code, g.last("reconnecting").reason], [code, "for now"]);
    g.pass(g.last("reconnecting").delay);
    g.socket.accept();
    assert.equal(g.client.state, "open");
    assert.equal(g.all("close").length, 0);
  });
}

test("a handshake that fails with an error and no close event is tried again", (t) => {
  const g = given(t);
  g.socket.dispatchEvent(Object.assign(new Event("error"), { message: "connection refused" }));
  g.socket.end(1006);
  assert.deepEqual(g.all("reconnecting").map((e) => e.reason), ["connection refused"], "and counted once where both come");
  g.pass(1_000);
  g.socket.accept();
  g.socket.dispatchEvent(new Event("error"));
  assert.equal(g.client.state, "open", "of an open connection the close event tells");
});

test("the window of delays doubles from 1 to 30 seconds, and the delay is anywhere in it", (t) => {
  for (const [random, delays] of [[1, [1, 2, 4, 8, 16, 30, 30]], [0.5, [0.5, 1, 2, 4, 8, 15, 15]], [0, [0, 0, 0]]]) {
    const g = given(t, { random });
    for (const seconds of delays) {
      g.socket.end();
      assert.equal(g.last("reconnecting").delay, seconds * 1000);
      const before = g.sockets.length;
      g.pass(seconds * 1000 - 1);
      assert.equal(g.sockets.length, before);
      g.pass(1);
      assert.equal(g.sockets.length, before + 1);
    }
    g.client.close();
    t.mock.timers.reset();
  }
});

test("only a connection that has lived for 10 seconds sets the window back", (t) => {
  const g = given(t);
  for (const [lived, delay] of [[9_900, 1_000], [9_900, 2_000], [9_900, 4_000], [10_000, 1_000]]) {
    g.socket.accept();
    g.pass(lived);
    g.socket.end(1006);
    assert.equal(g.last("reconnecting").delay, delay);
    g.pass(delay);
  }
  g.socket.accept();
  assert.equal(g.last("open").failures, 1);
});

test("after a restart the clients come back over 5 seconds", (t) => {
  for (const code of [1001, 1012, 1013]) {
    const g = given(t, { random: 0.9 });
    g.socket.accept();
    g.socket.end(code);
    assert.equal(g.last("reconnecting").delay, 4_500);
    g.client.close();
    t.mock.timers.reset();
  }
});

test("the option retry overrides the rules either way, at once or later", async (t) => {
  const asked = [];
  const answers = new Map([[4001, true], [1006, false], [1001, 7_000], [1000, undefined]]);
  const retry = async (end) => {
    asked.push(end);
    await settle();
    return answers.get(end.code);
  };
  const open = (code) => {
    const g = given(t, { retry });
    g.socket.accept();
    g.socket.end(code);
    return g;
  };
  for (const [code, state, delay] of [[4001, "waiting", 1_000], [1006, "closed"], [1001, "waiting", 7_000], [1000, "closed"]]) {
    const g = open(code);
    assert.equal(g.client.state, "waiting");
    g.client.check();
    await settle();
    await settle();
    assert.equal(g.client.state, state, `${code}`);
    assert.equal(g.last("reconnecting")?.delay, delay);
    g.client.close();
    t.mock.timers.reset();
  }
  assert.deepEqual(asked[0], { code: 4001, reason: "", wasClean: true, opened: true, failures: 1 });
});

test("while retry decides a second time, a look at the page changes nothing", async (t) => {
  const decisions = [];
  const g = given(t, { retry: () => new Promise((resolve) => decisions.push(resolve)) });
  g.socket.end();
  await settle();
  decisions[0](true);
  await settle();
  g.pass(1_000);
  g.socket.end();
  await settle();
  g.pass(60_000);
  g.client.check();
  g.pass(60_000);
  assert.equal(g.sockets.length, 2);
  decisions[1](true);
  await settle();
  g.pass(2_000);
  assert.equal(g.sockets.length, 3);
});

test("where retry fails the usual rules apply, and the failure shows", async (t) => {
  const { mock } = t.mock.method(console, "error", () => {});
  for (const retry of [() => { throw new Error("oh"); }, () => Promise.reject(new Error("oh"))]) {
    const g = given(t, { retry });
    g.socket.end();
    await settle();
    assert.equal(g.last("reconnecting").delay, 1_000);
    assert.equal(mock.calls.at(-1).arguments[1].message, "oh");
    g.client.close();
    t.mock.timers.reset();
  }
  assert.equal(mock.callCount(), 2);
});

test("a socket that cannot be made later on is a failed attempt", (t) => {
  const g = given(t);
  g.socket.end();
  g.broken = "insecure";
  g.pass(1_000);
  assert.equal(g.last("reconnecting").reason, "insecure");
  g.broken = "";
  g.pass(2_000);
  g.socket.accept();
  assert.equal(g.client.state, "open");
});

test("a client that is closed while retry decides stays closed", async (t) => {
  const g = given(t, { retry: () => settle().then(() => true) });
  g.socket.end();
  g.client.close();
  await settle();
  await settle();
  assert.equal(g.client.state, "closed");
  assert.equal(g.all("close").length, 1);
});

test("a url that is a function is asked before each attempt, and may fail", async (t) => {
  let n = 0;
  const url = async () => {
    if (++n === 2) throw new Error("no token");
    return `https://gateway.test/ws?token=${n}#here`;
  };
  const g = given(t, { url });
  await settle();
  assert.deepEqual(g.socket.given, ["wss://gateway.test/ws?token=1", []]);
  g.socket.end();
  g.pass(1_000);
  await settle();
  assert.equal(g.last("reconnecting").reason, "no token");
  g.pass(2_000);
  await settle();
  assert.equal(g.socket.given[0], "wss://gateway.test/ws?token=3");
});
