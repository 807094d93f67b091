// A client that openapi-typescript has made of docs/openapi.yaml, with the real binary.
// That this compiles is half of the test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import createClient from "openapi-fetch";
import { WebSocket } from "ws";
import type { components, paths } from "./api.d.ts";

type Event = components["schemas"]["Event"];

// An app reads events so: the action tells them apart.
export function say(event: Event): string {
  switch (event.action) {
    case "open":
      return `${event.user_name} from ${event.request.remote_addr}`;
    case "message":
      return `${event.user_name}: ${JSON.stringify(event.data)} ${event.encoding ?? ""}`;
    case "close":
      return `${event.user_name} has gone: ${event.code} by ${event.initiator}`;
    case "resumed":
      return `${event.user_name} was away for ${event.away_ms} ms`;
  }
}

// start runs a gateway and returns its address.
async function start(): Promise<{ address: string; stop: () => Promise<void> }> {
  const binary = process.env.WS_GATEWAY_BINARY;
  assert.ok(binary, "WS_GATEWAY_BINARY must name the binary to test");
  const child = spawn(binary, ["--no-callback", "--listen", "127.0.0.1:0", "--drain-period", "0s"], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "exit");
  for await (const line of createInterface(child.stderr)) {
    const fields = JSON.parse(line);
    if (fields.message !== "ready") continue;
    child.stderr.resume();
    return { address: fields.listen, stop: async () => { child.kill(); await exited; } };
  }
  throw new Error("the gateway did not start");
}

test("a generated client joins, sends, lists and closes", async () => {
  const gateway = await start();
  const api = createClient<paths>({ baseUrl: `http://${gateway.address}` });
  const ws = new WebSocket(`ws://${gateway.address}/ws`, { headers: { "X-Bfl-User": "alice" } });
  await once(ws, "open");

  const joined = await api.POST("/tapr/ws/group/join", { body: { groups: ["room-1"], users: ["alice"] } });
  assert.equal(joined.data?.data?.matched, 1);

  const got = once(ws, "message");
  const sent = await api.POST("/tapr/ws/conn/send", { body: { groups: ["room-1"], payload: { event: "hello" }, report: true } });
  assert.deepEqual(sent.data, { code: 0, message: "success", data: { matched: 1, queued: 1, slow: 0 } });
  assert.equal(String((await got)[0]), '{"event":"hello"}');

  const listed = await api.GET("/tapr/ws/conn/list", { params: { query: { user: ["alice", "bob"], limit: 10 } } });
  const users = listed.data?.data;
  assert.equal(users?.length, 1);
  assert.equal(users[0].name, "alice");
  const described = await api.GET("/tapr/ws/conn/get", { params: { query: { conn_id: users[0].conns[0].id } } });
  assert.deepEqual(described.data?.data?.groups, ["room-1"]);

  const mistaken = await api.POST("/tapr/ws/conn/close", { body: {} });
  assert.equal(mistaken.data?.code, 400);
  const refused = await api.GET("/tapr/ws/conn/count", { headers: { "X-Forwarded-For": "192.0.2.1" } });
  assert.equal(refused.response.status, 403);
  assert.equal(refused.error?.code, 403);

  const closed = once(ws, "close");
  const closing = await api.POST("/tapr/ws/conn/close", { body: { users: ["alice"], code: 4001, reason: "signed out", report: true } });
  assert.equal(closing.data?.data?.matched, 1);
  const [code, reason] = await closed;
  assert.equal(`${code} ${reason}`, "4001 signed out");
  await gateway.stop();
});
