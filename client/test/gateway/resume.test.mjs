// Sessions through lines that are cut, with a model of the gateway and with the real one:
// each message once and in order, on both sides.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as soon } from "node:timers/promises";
import WebSocketOfPackage from "ws";
import { aGateway, aModel, converse, count, expected, quick, randomCuts } from "./conversation.mjs";
import { lineTo } from "./line.mjs";
import { world } from "./world.mjs";

const timeout = 180_000; // for what must happen, however busy the machine

describe("with a model of the gateway", { concurrency: 2 }, () => {
  for (const way of ["down", "up"]) {
    test(`a cut after each byte ${way}: every message once and in order`, { timeout: 3 * timeout }, async (t) => {
      const c = await aModel(t);
      const line = await converse(await c.lineTo([]), WebSocketOfPackage);
      const [head, bytes] = [line.heads[way], line.passed[way]];
      assert.ok(bytes - head > count * 8, `${head} ${bytes}`);
      const cuts = [];
      for (let n = 0; n <= bytes; n += n < head - 1 ? 16 : 1) cuts.push({ [way]: n }); // sparsely in the handshake
      let next = 0;
      const worker = async () => {
        while (next < cuts.length) await converse(await c.lineTo([cuts[next++]]), WebSocketOfPackage);
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      for (const got of c.heard) assert.deepEqual(got, expected);
      assert.equal(c.heard.length, cuts.length + 1, "each conversation was in one session");
    });
  }

  for (const [name, WebSocket] of [["the package ws", WebSocketOfPackage], ["Node's own WebSocket", globalThis.WebSocket]]) {
    test(`${name}: several cuts in a conversation, among them the answer to a handshake three times running`, { timeout }, async (t) => {
      const c = await aModel(t);
      for (let n = 0; n < 20; n++) {
        await converse(await c.lineTo([{ up: 450 + n * 20 }, { down: 0 }, { down: 20 }, { down: 129 }, { down: 280 + 9 * n }, { up: 500 + 7 * n }]), WebSocket);
      }
      for (const got of c.heard) assert.deepEqual(got, expected);
      assert.equal(c.heard.length, 20);
    });
  }
});

describe("with the real gateway", { concurrency: 2 }, () => {
  for (const [name, WebSocket] of [["the package ws", WebSocketOfPackage], ["Node's own WebSocket", globalThis.WebSocket]]) {
    test(`${name}: cuts at random places: every message once and in order, and the app hears of nothing else`, { timeout }, async (t) => {
      const c = await aGateway(t);
      const line = await converse(await c.lineTo([]), WebSocket);
      const cuts = randomCuts(t, line, 60);
      for (let n = 0; n < cuts.length; n += 3) await converse(await c.lineTo(cuts.slice(n, n + 3)), WebSocket);
      const heard = await c.all(21);
      for (const got of heard.values()) assert.deepEqual(got, expected);
      assert.equal(heard.size, 21);
    });
  }

  for (const [name, WebSocket] of [["the package ws", WebSocketOfPackage], ["Node's own WebSocket", globalThis.WebSocket]]) {
    test(`${name}: a session outlives restarts of the gateway, and the app hears of none`, { timeout }, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "ws-gateway-"));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const w = await world(t, "--resume-for", "10m", "--resume-state", join(folder, "sessions"));
      const { client, next } = w.connect({ ...quick, WebSocket });
      await next("open");
      const { conn_id } = await w.app.next("open");
      for (let n = 0; n < 3; n++) {
        await w.call("send", { conn_id, payload: `live ${n}` });
        assert.equal((await next("message")).data, `"live ${n}"`);
        await w.stop();
        assert.equal((await next("reconnecting")).code, 1012);
        client.send(`while it is down ${n}`);
        await w.restart();
        await w.call("send", { conn_id, payload: `missed ${n}` });
        assert.equal((await next("open")).resumed, true);
        assert.equal((await next("message")).data, `"missed ${n}"`);
        const message = await w.app.next("message");
        assert.deepEqual([message.data, message.conn_id], [`while it is down ${n}`, conn_id]);
      }
      client.close(4000, "enough");
      const last = await w.app.next("close");
      assert.deepEqual([last.conn_id, last.code], [conn_id, 4000]);
    });
  }

  test("what the app had not taken when the gateway stopped it gets after the restart, before anything new", { timeout }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "ws-gateway-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const w = await world(t, "--resume-for", "10m", "--resume-state", join(folder, "sessions"), "--shutdown-timeout", "10s", "--callback-timeout", "10m");
    const { client, next } = w.connect({ ...quick, WebSocket: WebSocketOfPackage });
    await next("open");
    await w.app.next("open");
    const held = w.app.hold();
    for (let n = 0; n < 5; n++) client.send(`kept ${n}`);
    await w.app.next("message"); // which it does not answer
    await w.stop();
    held.release();
    await next("reconnecting");
    client.send("new");
    await w.restart();
    assert.equal((await next("open")).resumed, true);
    for (const data of ["kept 0", "kept 1", "kept 2", "kept 3", "kept 4", "new"]) assert.equal((await w.app.next("message")).data, data);
    client.close(4000, "enough");
    const { unsent, uncertain } = await next("close");
    assert.deepEqual([unsent, uncertain], [[], 0]);
    await w.app.next("close");
  });

  test("a session that has waited in vain is over: the page hears of it, and gets back what is uncertain", { timeout }, async (t) => {
    const w = await world(t, "--resume-for", "1s");
    const line = await lineTo(t, w.address);
    const { client, next } = w.connect({ ...quick, WebSocket: WebSocketOfPackage }, line.url);
    assert.equal((await next("open")).resumed, false);
    client.send("first");
    const { conn_id } = await w.app.next("message");
    line.silence(); // the second leaves, and does not arrive
    client.send("second");
    line.dead = true;
    line.cut();
    await next("reconnecting");
    client.send("third");
    assert.deepEqual((({ conn_id, code, initiator }) => [conn_id, code, initiator])(await w.app.next("close")), [conn_id, 1006, "network"]);
    line.dead = false;
    assert.equal((await next("open")).resumed, false);
    const { unsent, uncertain } = await next("lost");
    assert.deepEqual([unsent.slice(-1), uncertain], [["second"], unsent.length]);
    const message = await w.app.next("message");
    assert.equal(message.data, "third");
    assert.notEqual(message.conn_id, conn_id);
  });

  test("what the app has sent to who was away arrives, and its close is final", { timeout }, async (t) => {
    const w = await world(t, "--resume-for", "10m");
    const line = await lineTo(t, w.address);
    const { next } = w.connect({ ...quick, WebSocket: WebSocketOfPackage }, line.url);
    await next("open");
    const { conn_id } = await w.app.next("open");
    line.cuts.push(...Array(3).fill({ down: 0 }));
    line.cut();
    await next("reconnecting");
    for (let n = 0; n < 100; n++) await w.call("send", { conn_id, payload: n });
    for (let n = 0; n < 100; n++) assert.equal((await next("message")).data, `${n}`);
    line.cuts.push(...Array(3).fill({ down: 0 }));
    line.cut();
    await next("reconnecting");
    await w.call("close", { conns: [conn_id], code: 4001, reason: "signed in elsewhere" });
    const { code, reason } = await next("close");
    assert.deepEqual([code, reason], [4001, "signed in elsewhere"]);
    assert.equal((await w.app.next("close")).code, 4001);
  });

  test("a gateway that does not resume is a plain one", { timeout }, async (t) => {
    const w = await world(t);
    const { client, next } = w.connect({ ...quick, WebSocket: WebSocketOfPackage, protocols: ["chat.v2"] });
    assert.equal((await next("open")).resumed, false);
    client.send("\u001e1");
    assert.deepEqual([(await w.app.next("message")).data, client.protocol], ["\u001e1", "chat.v2"]);
  });

  // The gateway reads no more of a client whose app is slow, its acknowledgements neither.
  test("while the app is slow the client stays, though nothing of what it says is answered", { timeout }, async (t) => {
    const w = await world(t, "--resume-for", "10m", "--callback-queue", "1");
    let signs = 0;
    class Counting extends WebSocketOfPackage {
      constructor(...given) {
        super(...given);
        this.on("message", (data) => { signs += data[0] === 0x1e; });
      }
    }
    const held = w.app.hold();
    const { client, next } = w.connect({ ...quick, WebSocket: Counting, pingInterval: 100, pongTimeout: 20_000 });
    await next("open");
    const events = [];
    client.addEventListener("reconnecting", (e) => events.push(e.reason));
    for (let n = 0; n < 5; n++) client.send(`m${n}`);
    const before = signs;
    while (signs < before + 4) await soon(50);
    assert.deepEqual([events, client.state], [[], "open"]);
    assert.ok(client.bufferedMessages > 0);
    held.release();
    for (let n = 0; n < 5; n++) assert.equal((await w.app.next("message")).data, `m${n}`);
    while (client.bufferedMessages > 0) await soon(5);
    assert.deepEqual(events, []);
  });
});
