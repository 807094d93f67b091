// Starts the real binary and watches its log.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const binary = process.env.WS_GATEWAY_BINARY;
if (!binary) throw new Error("WS_GATEWAY_BINARY must name the binary to test: run make test-node");

// start runs the binary and resolves when its log has a line with each of these
// messages: { lines: {message: fields}, stop(signal) }. A message may be [message, field,
// value] instead: a line whose field has that value, as lines["message value"].
export async function start(args, ...messages) {
  // The race detector would hold up each exit for a second.
  const env = { ...process.env, GORACE: "atexit_sleep_ms=20" };
  const child = spawn(binary, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "exit");
  const log = [];
  const lines = {};
  await new Promise((resolve, reject) => {
    createInterface(child.stderr).on("line", (line) => {
      log.push(line);
      try {
        const fields = JSON.parse(line);
        lines[fields.message] ??= fields;
        for (const m of messages) if (Array.isArray(m) && m[0] === fields.message && fields[m[1]] === m[2]) lines[`${m[0]} ${m[2]}`] = fields;
      } catch {
        return; // not a line of the log
      }
      if (messages.every((m) => (Array.isArray(m) ? `${m[0]} ${m[2]}` : m) in lines)) resolve();
    });
    exited.then(([code]) => reject(new Error(`exited with ${code}:\n${log.join("\n")}`)));
  });
  const stop = async (signal = "SIGTERM") => {
    child.kill(signal);
    const [code] = await exited;
    return { code, log: log.join("\n") };
  };
  return { lines, stop };
}

// freeAddress is one on which something can be started, stopped and started again: its
// port is not one of those that the kernel gives to whoever asks for any.
export async function freeAddress() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return `127.0.0.1:${port}`;
  }
}

// queue turns events into a list that can be awaited item by item.
export function queue() {
  const items = [];
  const waiting = [];
  return {
    push: (item) => (waiting.length ? waiting.shift()(item) : items.push(item)),
    next: () => (items.length ? Promise.resolve(items.shift()) : new Promise((resolve) => waiting.push(resolve))),
    get length() { return items.length; },
  };
}
