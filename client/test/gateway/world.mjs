// The real gateway with an app beside it, and clients.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { Client } from "ws-gateway-client";
import { freeAddress, queue, start } from "../../../e2e/browser/program.mjs";

// Quick where the defaults are made for people; the rules are the same.
export const quick = { backoffBase: 100, backoffMax: 400, restartSpread: 100 };

// world starts an app and a gateway with these options. When the test ends, clients,
// gateway and app go in this order.
export async function world(t, ...options) {
  const app = await startApp();
  const run = (listen) => start(["--listen", listen, "--callback-url", app.url, "--drain-period", "0s", "--close-timeout", "1s", ...options], "ready");
  const address = await freeAddress();
  let running = await run(address);
  const clients = [];
  const stop = async (signal) => {
    const stopping = running;
    running = null;
    const { code, log } = await stopping.stop(signal);
    if (signal !== "SIGKILL") assert.equal(code, 0, log);
  };
  t.after(async () => {
    for (const client of clients) client.close();
    if (running) await stop();
    app.stop();
  });
  return {
    app,
    address,
    url: `ws://${address}/ws`,
    stop,
    // restart brings another gateway up at the same address.
    async restart() {
      running = await run(address);
    },
    // call is the management API.
    async call(verb, command) {
      const response = await fetch(`http://${address}/tapr/ws/conn/${verb}`, { method: "POST", body: JSON.stringify(command) });
      return response.json();
    },
    // connect makes a client whose events can be awaited: next(type) drops others before it.
    connect(settings, url = `ws://${address}/ws`) {
      const client = new Client(url, { ...quick, ...settings });
      clients.push(client);
      const events = queue();
      for (const type of ["open", "message", "reconnecting", "lost", "close"]) client.addEventListener(type, (event) => events.push(event));
      return { client, next: (type) => nextOf(events, (event) => event.type === type) };
    },
  };
}

// startApp records the callbacks: next(action) is the next of that action.
async function startApp() {
  const events = queue();
  let held = Promise.resolve();
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    events.push(JSON.parse(body));
    await held;
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/ws`,
    next: (action) => nextOf(events, (event) => event.action === action),
    // hold keeps back all answers until its result is released.
    hold() {
      let release;
      held = new Promise((resolve) => { release = resolve; });
      return { release };
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export async function nextOf(events, wanted) {
  for (;;) {
    const event = await events.next();
    if (wanted(event)) return event;
  }
}
