// The client in Node, with the package ws and with Node's own WebSocket, against the
// real gateway.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import WebSocketOfPackage from "ws";
import { world } from "./world.mjs";

const timeout = 180_000; // for what must happen, however busy the machine

if (!globalThis.WebSocket) throw new Error("Node has no WebSocket: run the tests with NODE_OPTIONS=--experimental-websocket, or with Node 22");

describe("against the real gateway", { concurrency: 4 }, () => { // they wait more than they work
  for (const [name, WebSocket] of [["the package ws", WebSocketOfPackage], ["Node's own WebSocket", globalThis.WebSocket]]) {
    test(`${name}: messages both ways, and a final close by the app`, { timeout }, async (t) => {
      const w = await world(t);
      const { client, next } = w.connect({ WebSocket, protocols: ["chat"] });
      client.sendEvent("hello", { who: "ada" });
      const { conn_id } = await w.app.next("open");
      assert.deepEqual((await w.app.next("message")).data, { event: "hello", data: { who: "ada" } });
      assert.equal(client.protocol, "chat");
      client.send(new Uint8Array([0, 255, 1]));
      assert.equal((await w.app.next("message")).data, "AP8B");
      await w.call("send", { conn_id, payload: { b: 1 } });
      assert.equal((await next("message")).data, '{"b":1}');
      await w.call("send", { conn_id, payload: "AP8B", encoding: "base64" });
      assert.deepEqual([...new Uint8Array((await next("message")).data)], [0, 255, 1]);

      await w.call("close", { conns: [conn_id], code: 4001, reason: "enough" });
      const { code, reason } = await next("close");
      assert.deepEqual([code, reason, client.state], [4001, "enough", "closed"]);
      assert.equal(client.send("more"), false);
    });

    for (const [signal, code] of [["SIGTERM", 1001], ["SIGKILL", 1006]]) {
      test(`${name}: after ${signal} the client comes back, with what was sent meanwhile, in order and once`, { timeout }, async (t) => {
        const w = await world(t);
        const { client, next } = w.connect({ WebSocket });
        await next("open");
        client.send("before");
        const first = await w.app.next("message");

        await w.stop(signal);
        const end = await next("reconnecting");
        assert.deepEqual([end.code, end.opened], [code, true]);
        for (let n = 0; n < 100; n++) assert.equal(client.sendEvent("count", n), true);
        const failed = await next("reconnecting");
        assert.deepEqual([failed.code, failed.opened], [1006, false]);
        assert.equal(client.bufferedMessages, 100);

        await w.restart();
        assert.ok((await next("open")).failures >= 2);
        client.send("after");
        for (let n = 0; n < 100; n++) {
          const { data, conn_id } = await w.app.next("message");
          assert.deepEqual(data, { event: "count", data: n });
          assert.notEqual(conn_id, first.conn_id);
        }
        assert.equal((await w.app.next("message")).data, "after");
      });
    }

    test(`${name}: pings keep a connection that would end without them`, { timeout }, async (t) => {
      const w = await world(t, "--ping-timeout", "5s");
      const pinging = w.connect({ WebSocket, pingInterval: 250 });
      await pinging.next("open");
      const silent = w.connect({ WebSocket });
      await silent.next("open");
      const { code, reason } = await silent.next("reconnecting");
      assert.deepEqual([code, reason], [1008, "ping timeout"], "not final: sleep ends like this");
      await silent.next("open");
      assert.equal(pinging.client.state, "open");
      pinging.client.send("still the first connection");
      assert.equal((await w.app.next("message")).data, "still the first connection");
      pinging.client.close();
      await pinging.next("close");
    });

    test(`${name}: a connection that has gone dead is replaced`, { timeout }, async (t) => {
      const w = await world(t);
      const wire = await cuttable(t, w.address);
      const { next } = w.connect({ WebSocket, pingInterval: 200, pongTimeout: 1000 }, `ws://${wire.address}/ws`);
      await next("open");
      const { conn_id } = await w.app.next("open");
      wire.cut();
      const { code, reason, wasClean } = await next("reconnecting");
      assert.deepEqual([code, reason, wasClean], [1006, "no pong in time", false]);
      await next("open");
      assert.notEqual((await w.app.next("open")).conn_id, conn_id);
    });

    test(`${name}: a process ends by itself when its client is closed`, { timeout }, async (t) => {
      const w = await world(t);
      const own = WebSocket === globalThis.WebSocket;
      const program = `
        import { Client } from "ws-gateway-client";
        ${own ? "" : 'import WebSocket from "ws";'}
        const open = new Client("${w.url}", { WebSocket });
        const refused = new Client("ws://127.0.0.1:1/ws", { WebSocket });
        open.addEventListener("open", () => { open.close(); refused.close(); });`;
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { cwd: import.meta.dirname, stdio: "inherit" });
      const [code] = await once(child, "exit");
      assert.equal(code, 0);
      assert.equal((await w.app.next("close")).code, 1000);
    });
  }

  test("the package ws shows the status and Retry-After of a refusal", { timeout }, async (t) => {
    const w = await world(t, "--max-connections", "1");
    const WebSocket = WebSocketOfPackage;
    const first = w.connect({ WebSocket });
    await first.next("open");
    const second = w.connect({ WebSocket });
    const { code, status, retryAfter, delay } = await second.next("reconnecting");
    assert.deepEqual({ code, status, retryAfter }, { code: 1006, status: 503, retryAfter: 5_000 });
    assert.ok(delay >= 5_000 && delay <= 5_100, `${delay}`);
  });

  test("a refusal for want of a user is final, and headers are what socketOptions say", { timeout }, async (t) => {
    const w = await world(t, "--require-user");
    const WebSocket = WebSocketOfPackage;
    const nobody = w.connect({ WebSocket });
    const { code, status, reason } = await nobody.next("close");
    assert.deepEqual({ code, status, reason }, { code: 1006, status: 401, reason: "refused with 401" });
    const ada = w.connect({ WebSocket, socketOptions: { headers: { "X-Bfl-User": "ada" } } });
    await ada.next("open");
    assert.equal((await w.app.next("open")).user_name, "ada");
  });
});

// cuttable is a wire to address. cut makes what is connected deaf and dumb without
// closing it, as a router does that has lost its table.
async function cuttable(t, address) {
  const [host, port] = address.split(":");
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(port, host);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    address: `127.0.0.1:${server.address().port}`,
    cut() {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}
