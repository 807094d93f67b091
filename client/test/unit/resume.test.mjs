// Sessions that go on over several connections: what is counted, kept, sent again and
// given back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { resumable } from "../../src/session.js";
import { given } from "./fake.mjs";

const mark = "\u001e";
const greeting = (fields = {}) => mark + JSON.stringify({ resumed: false, id: "c1", token: "t1", for: 60, received: 0, ...fields });

// session is a client whose first session has begun.
function session(t, options = {}) {
  const g = given(t, { resume: true, ...options });
  g.socket.accept(resumable);
  g.socket.receive(greeting());
  return g;
}

// cut loses the connection, lets the next attempt begin, and returns what it offers last.
function cut(g) {
  g.socket.end(1006);
  g.pass(g.last("reconnecting").delay);
  return g.socket.given[1].at(-1);
}

// resume is the gateway's answer to that attempt.
function resume(g, received, token = "t2") {
  g.socket.accept(resumable);
  g.socket.receive(greeting({ resumed: true, token, received }));
}

// data is what a socket was given, acknowledgements apart.
const data = (socket) => socket.sent.filter((d) => !(String(d)[0] === mark && /^\d+$/.test(d.slice(1))));
const messages = (g) => g.all("message").map((e) => e.data);

test("a client that does not ask offers, sends and counts nothing of it", (t) => {
  const g = given(t, { protocols: ["chat"] });
  assert.deepEqual(g.socket.given[1], ["chat"]);
  g.socket.accept("chat");
  g.client.send(`${mark}1`);
  g.socket.receive(`${mark}{"resumed":true}`);
  assert.deepEqual([g.socket.sent, messages(g), g.last("open").resumed], [[`${mark}1`], [`${mark}{"resumed":true}`], false]);
});

test("what is offered where the page offers nothing is none of its subprotocols", (t) => {
  const g = given(t, { resume: true });
  g.socket.accept(resumable);
  g.socket.receive(greeting({ protocol: "ws-gateway.plain.v1" }));
  assert.equal(g.client.protocol, "");
});

test("open waits for the greeting, and nothing is sent before", (t) => {
  const g = given(t, { resume: true, protocols: "chat.v2" });
  assert.deepEqual(g.socket.given[1], ["chat.v2", resumable]);
  g.client.send("a");
  g.socket.accept(resumable);
  assert.deepEqual([g.client.state, g.socket.sent], ["connecting", []]);
  g.socket.receive(greeting({ protocol: "chat.v2" }));
  assert.deepEqual([g.client.state, g.client.protocol, g.last("open").resumed, g.socket.sent], ["open", "chat.v2", false, ["a"]]);
});

test("a greeting that does not come in time is a failed attempt", (t) => {
  const g = given(t, { resume: true });
  g.socket.accept(resumable);
  g.pass(20_000);
  assert.equal(g.last("reconnecting").reason, "no connection within 20000 ms");
});

test("a gateway without it selects what was offered first: nothing is counted or escaped", (t) => {
  const g = given(t, { resume: true });
  assert.deepEqual(g.socket.given[1], ["ws-gateway.plain.v1", resumable]);
  g.socket.accept("ws-gateway.plain.v1");
  g.client.send(`${mark}a`);
  g.socket.receive(`${mark}b`);
  assert.deepEqual([g.client.protocol, g.socket.sent, messages(g), g.last("open").resumed], ["", [`${mark}a`], [`${mark}b`], false]);
  g.pass(30_000);
  assert.equal(g.socket.sent.at(-1), '{"event":"ping","data":{}}');
  assert.equal(cut(g), resumable);
});

test("after a cut both sides go on where the other one is", (t) => {
  const g = session(t);
  for (const text of ["c1", "c2", "c3"]) g.client.send(text);
  g.socket.receive("g1");
  g.socket.receive("g2");
  g.socket.receive(`${mark}1`);
  assert.equal(cut(g), `${resumable}.t1.2`);
  g.client.send("c4");
  resume(g, 2);
  assert.deepEqual(data(g.socket), ["c3", "c4"]);
  g.socket.receive("g3");
  assert.deepEqual(messages(g), ["g1", "g2", "g3"]);
  assert.equal(cut(g), `${resumable}.t2.3`);
  resume(g, 4, "t3");
  assert.deepEqual([data(g.socket), g.client.bufferedMessages], [[], 0]);
  assert.deepEqual(g.all("open").map((e) => e.resumed), [false, true, true]);
  assert.equal(g.all("lost").length, 0);
});

test("what a listener of open sends comes after what has waited when a session is resumed", (t) => {
  const g = session(t);
  g.client.send("a");
  cut(g);
  g.client.send("b");
  g.client.addEventListener("state", (e) => e.state === "open" && g.client.send("c"));
  g.client.addEventListener("open", () => g.client.send("d"));
  resume(g, 0);
  g.client.send("e");
  assert.deepEqual(data(g.socket), ["a", "b", "c", "d", "e"]);
});

test("a token serves until another one is heard of, however often its answer gets lost", (t) => {
  const g = session(t);
  for (let n = 0; n < 3; n++) {
    assert.equal(cut(g), `${resumable}.t1.0`);
    if (n === 1) g.socket.accept(resumable); // the 101 arrives, the greeting does not
  }
  resume(g, 0);
  assert.equal(g.last("open").resumed, true);
});

test("a session that is over: what was not acknowledged is handed back, what has waited is sent", (t) => {
  const g = session(t);
  for (const text of ["a", "b", "c"]) g.client.send(text);
  g.socket.receive(`${mark}1`);
  cut(g);
  g.client.send("d");
  g.client.addEventListener("open", () => g.client.send("hello"));
  g.client.addEventListener("lost", (e) => g.client.send(`again ${e.unsent}`));
  g.socket.accept(resumable);
  g.socket.receive(greeting({ id: "c2", token: "u1" }));
  const { unsent, uncertain } = g.last("lost");
  assert.deepEqual([unsent, uncertain, g.last("open").resumed], [["b", "c"], 2, false]);
  assert.deepEqual(g.socket.sent, ["hello", "again b,c", "d"]);
  g.socket.receive(`${mark}3`);
  assert.equal(g.client.bufferedMessages, 0, "the new session counts from 1");
  g.socket.receive("x");
  assert.equal(cut(g), `${resumable}.u1.1`);
});

test("a session is lost too if the gateway has forgotten how to resume", (t) => {
  const g = session(t);
  g.client.send("a");
  cut(g);
  g.client.send("b");
  g.socket.accept("ws-gateway.plain.v1");
  assert.deepEqual([g.last("lost").unsent, g.last("lost").uncertain, g.socket.sent], [["a"], 1, ["b"]]);
  cut(g);
  g.socket.accept("ws-gateway.plain.v1");
  assert.equal(g.all("lost").length, 1);
});

test("a final end gives back what is uncertain first, and says how much that is", (t) => {
  const g = session(t);
  for (const text of ["a", "b", "c"]) g.client.send(text);
  g.socket.receive(`${mark}1`);
  g.socket.readyState = 2; // the other side's close frame has come
  g.client.send("d");
  g.socket.end(4001, "signed in elsewhere");
  const { code, unsent, uncertain } = g.last("close");
  assert.deepEqual([code, unsent, uncertain], [4001, ["b", "c", "d"], 2]);
});

test("the app's close while the client was away arrives in place of a greeting, and is final", (t) => {
  const g = session(t);
  g.client.send("a");
  cut(g);
  g.client.send("b");
  g.socket.accept(resumable);
  g.socket.end(4001, "enough");
  const { code, unsent, uncertain } = g.last("close");
  assert.deepEqual([code, unsent, uncertain], [4001, ["a", "b"], 1]);
});

test("what was rewound and not handed out again is not uncertain: the gateway has said that it is missing", (t) => {
  const g = session(t);
  for (const text of ["a", "b"]) g.client.send(text);
  cut(g);
  g.socket.accept(resumable);
  g.socket.readyState = 2; // the connection is on its way out already
  g.socket.receive(greeting({ resumed: true, received: 1 }));
  assert.deepEqual(data(g.socket), []);
  g.socket.end(4001);
  assert.deepEqual([g.last("close").unsent, g.last("close").uncertain], [["b"], 0]);
});

test("close asks first what has arrived, and then nothing is uncertain", (t) => {
  const g = session(t);
  g.client.send("a");
  g.client.close(4000, "bye");
  assert.deepEqual([g.client.state, g.client.send("b"), g.socket.sent, g.socket.closedWith], ["closing", false, ["a", `${mark}0`], null]);
  g.socket.receive("late");
  g.socket.receive(`${mark}1`);
  assert.deepEqual([g.socket.closedWith, messages(g)], [[4000, "bye"], ["late"]]);
  g.socket.end(4000, "bye");
  assert.deepEqual([g.last("close").wasClean, g.last("close").unsent, g.last("close").uncertain], [true, [], 0]);
});

test("close does not ask for ever", (t) => {
  const g = session(t);
  g.client.send("a");
  g.client.close(4000, "bye");
  for (let n = 0; n < 40; n++) g.socket.receive("more"); // nor do messages put it off
  g.pass(5_000);
  assert.deepEqual([g.client.state, g.last("close").code, g.last("close").unsent, g.last("close").uncertain], ["closed", 1006, ["a"], 1]);
  assert.deepEqual(g.socket.closedWith, [4000, "bye"], "who reads it late hears what was meant");
});

test("an acknowledgement leaves after 32 messages, 32 KiB or a second, both ways", (t) => {
  const g = session(t);
  for (let n = 1; n <= 31; n++) g.socket.receive(`${n}`);
  assert.deepEqual(g.socket.sent, []);
  g.socket.receive("32");
  assert.deepEqual(g.socket.sent, [`${mark}32`]);
  g.socket.receive(new Uint8Array(32 * 1024).buffer);
  assert.deepEqual(g.socket.sent.slice(1), [`${mark}33`]);
  for (let n = 1; n <= 32; n++) g.client.send("x");
  assert.deepEqual(g.socket.sent.at(-1), `${mark}33`);
  assert.equal(g.socket.sent.length, 35);
  g.client.send("y");
  g.pass(900);
  assert.equal(g.socket.sent.length, 36);
  g.pass(100);
  assert.equal(g.socket.sent.length, 37);
  g.socket.receive(`${mark}33`);
  g.pass(5_000);
  assert.equal(g.socket.sent.length, 37, "where nothing has passed there is nothing to acknowledge");
});

test("at each ping interval an acknowledgement takes the place of the ping, and any answer will do", (t) => {
  const g = session(t);
  g.pass(30_000);
  assert.deepEqual(g.socket.sent, [`${mark}0`]);
  for (let n = 0; n < 10; n++) {
    g.pass(9_000);
    g.socket.receive(`${mark}0`); // a sign of life, while the gateway does not read
  }
  assert.equal(g.client.state, "open");
  assert.equal(g.socket.sent.length, 4);
  g.pass(40_000);
  assert.equal(g.all("reconnecting").at(-1).reason, "no pong in time");
});

test("a clock that is set back amid a crowd of messages puts off neither acknowledgements nor the end of a dead line", (t) => {
  const g = session(t);
  g.client.send("a");
  g.pass(100);
  const now = Date.now;
  t.mock.method(Date, "now", () => now() - 3_600_000);
  for (let n = 0; n < 31; n++) g.socket.receive("m"); // before the next look at the clock
  assert.equal(g.socket.sent.at(-1), `${mark}31`);
  g.socket.receive(`${mark}1`);
  g.socket.receive("m");
  g.pass(1_000);
  assert.equal(g.socket.sent.at(-1), `${mark}32`);
  g.pass(29_000);
  assert.equal(g.socket.sent.length, 4, "the ping");
  g.pass(10_000);
  assert.equal(g.client.state, "waiting");
});

test("a sign of life keeps a client that sends and gets no acknowledgement", (t) => {
  const g = session(t);
  g.client.send("a");
  for (let n = 0; n < 60; n++) {
    g.pass(5_000);
    g.socket.receive(`${mark}0`);
  }
  assert.deepEqual([g.client.state, g.client.bufferedMessages], ["open", 1]);
});

test("a check waits for the next sign of life", (t) => {
  const g = session(t);
  g.client.check();
  assert.deepEqual(g.socket.sent, [`${mark}0`]);
  g.pass(6_900);
  assert.equal(g.client.state, "open");
  g.socket.receive(`${mark}0`);
  g.pass(20_000);
  assert.equal(g.client.state, "open");
  g.client.check();
  g.pass(7_000);
  assert.equal(g.client.state, "waiting");
});

test("who has sent finds out within pongTimeout that the line is dead", (t) => {
  const g = session(t);
  g.client.send("a");
  g.pass(10_900);
  assert.equal(g.client.state, "open");
  g.pass(200);
  assert.equal(g.client.state, "waiting");
});

test("a listener that throws doubles nothing: messages are counted before it hears of them", (t) => {
  const thrown = [];
  const catchOne = (error) => thrown.push(error.message);
  t.mock.method(process, "nextTick", (throwLater) => { // where Node throws what a listener has thrown
    try {
      throwLater();
    } catch (error) {
      catchOne(error);
    }
  });
  const g = session(t);
  g.client.addEventListener("message", (e) => { throw new Error(`oh ${e.data}`); });
  g.socket.receive("g1");
  g.socket.receive("g2");
  assert.deepEqual(thrown, ["oh g1", "oh g2"]);
  assert.equal(cut(g), `${resumable}.t1.2`);
});

test("what begins with the mark gets a second one, both ways; all other messages are as they are", (t) => {
  const g = session(t, { maxMessageBytes: 4 });
  for (const text of [mark, `${mark}1`, `${mark}${mark}`, "a", ""]) g.client.send(text);
  assert.deepEqual(data(g.socket).map((d) => d.replaceAll(mark, "␞")), ["␞␞", "␞␞1", "␞␞␞", "a", ""]);
  assert.throws(() => g.client.send(`${mark}123`), { name: "RangeError" }, "the second one counts");
  const bytes = new Uint8Array([0x1e]).buffer;
  for (const d of [`${mark}${mark}`, `${mark}${mark}1`, "", bytes, '{"event":"pong"}']) g.socket.receive(d);
  assert.deepEqual(messages(g), [mark, `${mark}1`, "", bytes]);
  assert.equal(cut(g), `${resumable}.t1.5`, "a pong is a message, although nobody hears of it");
});

test("bytes that may have to be sent again are copies", (t) => {
  const g = session(t);
  const bytes = new Uint8Array([1, 2]);
  g.client.send(bytes);
  bytes.fill(0);
  cut(g);
  resume(g, 0);
  assert.deepEqual([...data(g.socket)[0]], [1, 2]);
});

test("what is kept is bounded, acknowledged sooner where it is little, and one message always fits", (t) => {
  const g = session(t, { maxBufferedMessages: 4, maxBufferedBytes: 10 });
  assert.deepEqual(["a", "b", "c", "d", "e"].map((text) => g.client.send(text)), [true, true, true, true, false]);
  assert.deepEqual(g.socket.sent, ["a", "b", `${mark}0`, "c", "d", `${mark}0`]);
  assert.deepEqual([g.client.bufferedMessages, g.client.bufferedAmount], [4, 4]);
  g.socket.receive(`${mark}4`);
  assert.equal(g.client.send("0123456789ab"), true);
  assert.equal(g.client.send("b"), false);
  cut(g);
  assert.equal(g.client.send("c"), false, "away as well");
  resume(g, 4);
  assert.deepEqual(data(g.socket), ["0123456789ab"]);
  g.socket.receive(`${mark}5`);
  assert.deepEqual([g.client.bufferedMessages, g.client.bufferedAmount], [0, 0]);
});

test("an acknowledgement that comes late or twice is no news", (t) => {
  const g = session(t);
  g.client.send("a");
  g.client.send("b");
  for (const n of [0, 1, 1, 0, 2, 1]) g.socket.receive(`${mark}${n}`);
  assert.deepEqual([g.client.state, g.client.bufferedMessages], ["open", 0]);
});

// What no gateway says: the session ends, and the page is told what is uncertain.
for (const [what, lie] of Object.entries({
  "an acknowledgement of what was not sent": `${mark}2`,
  "a negative one": `${mark}-1`,
  "one that is no number": `${mark}one`,
  "one beyond all numbers": `${mark}${"9".repeat(400)}`,
  "the mark alone": mark,
  "a second greeting": greeting(),
  "a greeting that is no JSON": `${mark}{"resumed":`,
  "a greeting without a token": `${mark}{"resumed":true,"received":0}`,
})) {
  test(`a lie ends the session: ${what}`, (t) => {
    const g = session(t);
    g.client.send("a");
    g.socket.receive(lie);
    assert.match(g.last("reconnecting").reason, /^the gateway breaks the rules of ws-gateway\.resume\.v1: /);
    assert.deepEqual([g.socket.closedWith === null, messages(g)], [false, []]);
    g.pass(2_000);
    assert.equal(g.socket.given[1].at(-1), resumable, "it is not asked for again");
    g.socket.accept(resumable);
    g.socket.receive(greeting());
    assert.deepEqual([g.last("lost").unsent, g.client.state], [["a"], "open"]);
  });
}

for (const [what, lie] of Object.entries({
  "more received than was sent": greeting({ resumed: true, received: 3 }),
  "less received than was acknowledged": greeting({ resumed: true, received: 0 }),
  "a fraction": greeting({ resumed: true, received: 1.5 }),
  "a token that cannot be offered": greeting({ resumed: true, received: 1, token: "a,b" }),
  "no greeting but a message": "hello",
  "no greeting but an acknowledgement": `${mark}1`,
})) {
  test(`a lie in answer to a resume ends the session: ${what}`, (t) => {
    const g = session(t);
    g.client.send("a");
    g.client.send("b");
    g.socket.receive(`${mark}1`);
    cut(g);
    g.socket.accept(resumable);
    g.socket.receive(lie);
    assert.match(g.last("reconnecting").reason, /breaks the rules/);
    g.pass(4_000);
    g.socket.accept(resumable);
    g.socket.receive(greeting());
    assert.deepEqual([g.last("lost").unsent, g.client.state, messages(g)], [["b"], "open", []]);
  });
}

test("who resumes what there was not lies", (t) => {
  const g = given(t, { resume: true });
  g.socket.accept(resumable);
  g.socket.receive(greeting({ resumed: true }));
  assert.match(g.last("reconnecting").reason, /resumes what was not there/);
  assert.equal(g.all("open").length, 0);
});

test("what a later version may say besides is passed over", (t) => {
  const g = session(t);
  g.socket.receive(`${mark}{"hint":1}`);
  assert.deepEqual([g.client.state, messages(g)], ["open", []]);
  assert.equal(cut(g), `${resumable}.t1.0`);
});

test("a dead socket says no good-bye before the gateway has another one: it would end the session", (t) => {
  const g = session(t);
  const dead = g.socket;
  g.pass(41_000);
  assert.equal(g.sockets.length, 2);
  assert.equal(dead.closedWith, null);
  g.socket.end(1006); // this attempt does not reach the gateway
  g.pass(2_000);
  assert.equal(dead.closedWith, null);
  g.socket.accept(resumable);
  assert.ok(dead.closedWith);
  const deaf = g.socket; // the gateway has it, and its greeting is lost
  g.pass(24_000);
  assert.equal(deaf.closedWith, null);
  dead.receive("late");
  deaf.receive(greeting({ resumed: true, token: "t2" }));
  assert.equal(g.client.state, "connecting");
  resume(g, 0, "t3");
  assert.ok(deaf.closedWith);
  assert.deepEqual([messages(g), g.last("open").resumed], [[], true]);
});

test("a client that is closed while away says good-bye on what it had", (t) => {
  const g = session(t);
  g.pass(40_000);
  const dead = g.socket;
  g.client.close(4000, "bye");
  assert.deepEqual(dead.closedWith, [4000, "bye"]);
  assert.equal(g.client.state, "closed");
});

for (const type of ["open", "lost", "message"]) {
  test(`a listener of ${type} may close, and lost and close tell of all that is not delivered`, (t) => {
    const g = session(t);
    g.client.send("a");
    cut(g);
    g.client.send("b");
    g.client.addEventListener(type, () => g.client.close());
    g.socket.accept(resumable);
    g.socket.receive(greeting());
    g.socket.receive("m");
    g.socket.receive(`${mark}1`);
    g.socket.end(1000);
    assert.deepEqual(g.last("lost").unsent, ["a"]);
    assert.deepEqual(g.last("close").unsent, type === "message" ? [] : ["b"]);
  });
}

test("wrong ways to ask for it are refused by name", () => {
  class WebSocket {}
  assert.throws(() => given({ mock: { timers: { enable() {} } }, after() {} }, { WebSocket, resume: "yes" }), /option resume must be true or false, not yes/);
  assert.throws(() => given({ mock: { timers: { enable() {} } }, after() {} }, { WebSocket, resume: true, maxBufferedMessages: 0 }), /resume needs a buffer/);
});
