// What is sent, buffered, refused, given back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { given } from "./fake.mjs";

test("what is sent before the connection is there leaves in order when it is", (t) => {
  const g = given(t);
  for (const text of ["a", "b", "c"]) assert.equal(g.client.send(text), true);
  assert.equal(g.client.sendEvent("move", { x: 1 }), true);
  assert.equal(g.client.sendEvent("stop"), true);
  assert.deepEqual([g.client.bufferedMessages, g.client.bufferedAmount], [5, 60]);
  g.socket.accept();
  assert.deepEqual(g.socket.sent, ["a", "b", "c", '{"event":"move","data":{"x":1}}', '{"event":"stop","data":{}}']);
  assert.deepEqual([g.client.bufferedMessages, g.client.bufferedAmount], [0, 0]);
});

test("what a listener of open sends is before what has waited", (t) => {
  const g = given(t);
  g.client.addEventListener("open", () => g.client.send("who I am"));
  g.client.send("waited");
  g.socket.accept();
  g.client.send("after");
  assert.deepEqual(g.socket.sent, ["who I am", "waited", "after"]);
});

test("the buffer outlives failed attempts, and nothing is sent twice", (t) => {
  const g = given(t);
  g.client.send("a");
  g.socket.end();
  g.client.send("b");
  g.pass(1_000);
  g.client.send("c");
  g.socket.accept();
  assert.deepEqual(g.socket.sent, ["a", "b", "c"]);
  g.socket.end();
  g.pass(2_000);
  g.socket.accept();
  assert.deepEqual(g.socket.sent, []);
});

test("a full buffer takes no more, by count and by bytes", (t) => {
  const g = given(t, { maxBufferedMessages: 2, maxBufferedBytes: 10 });
  assert.deepEqual(["a", "b", "c"].map((text) => g.client.send(text)), [true, true, false]);
  g.socket.accept();
  assert.deepEqual(g.socket.sent, ["a", "b"]);
  g.socket.end();
  assert.deepEqual(["éééé", "abc", "ab"].map((text) => g.client.send(text)), [true, false, true], "bytes, not letters");
  g.pass(1_000);
  g.socket.accept();
  assert.deepEqual(g.socket.sent, ["éééé", "ab"]);
});

test("an open socket that does not get rid of its bytes takes no more than the buffer", (t) => {
  const g = given(t, { maxBufferedBytes: 10 });
  g.socket.accept();
  g.socket.bufferedAmount = 8;
  assert.equal(g.client.send("ab"), true);
  assert.equal(g.client.send("abc"), false);
  assert.equal(g.client.bufferedAmount, 8);
  g.socket.bufferedAmount = 0;
  assert.equal(g.client.send("0123456789ab"), true, "a message alone may be larger");
});

test("without a buffer a message is taken only while the connection is open", (t) => {
  const g = given(t, { maxBufferedMessages: 0 });
  assert.equal(g.client.send("a"), false);
  g.socket.accept();
  assert.equal(g.client.send("b"), true);
  g.socket.readyState = 2; // the other side's close frame has come
  assert.equal(g.client.send("c"), false);
});

test("while the other side closes messages are kept for the next connection", (t) => {
  const g = given(t);
  g.socket.accept();
  g.socket.readyState = 2;
  assert.equal(g.client.send("kept"), true);
  g.socket.end(1001);
  g.pass(5_000);
  g.socket.accept();
  assert.deepEqual(g.socket.sent, ["kept"]);
});

test("bytes that wait are copies", (t) => {
  const g = given(t);
  const bytes = new Uint8Array([9, 1, 2, 9]);
  g.client.send(bytes.subarray(1, 3));
  g.client.send(bytes.buffer);
  g.client.send(new DataView(bytes.buffer, 1, 2));
  bytes.fill(0);
  g.socket.accept();
  assert.deepEqual(g.socket.sent.map((data) => [...new Uint8Array(data)]), [[1, 2], [9, 1, 2, 9], [1, 2]]);
});

test("what is no message is refused with a word about it", (t) => {
  const g = given(t);
  for (const data of [{}, null, undefined, 1, [1]]) assert.throws(() => g.client.send(data), { name: "TypeError", message: /JSON/ });
  assert.throws(() => g.client.send("x".repeat(1_048_577)), { name: "RangeError", message: /1048577 bytes.*maxMessageBytes \(1048576\)/ });
  assert.equal(g.client.send("x".repeat(1_048_576)), true);
});

test("a final end gives back what has waited", (t) => {
  const g = given(t);
  g.client.send("a");
  g.client.send("b");
  g.client.close(4000, "bye");
  const { code, reason, unsent } = g.last("close");
  assert.deepEqual({ code, reason, unsent }, { code: 4000, reason: "bye", unsent: ["a", "b"] });
  assert.equal(g.client.send("c"), false);
});
