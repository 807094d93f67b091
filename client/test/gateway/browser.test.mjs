// The client in headless Chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { queue } from "../../../e2e/browser/program.mjs";
import { nextOf, quick, world } from "./world.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const timeout = 300_000; // for what must happen, however busy the machine

describe("in Chromium", { concurrency: 3 }, () => {
  let browser, folder, site;
  before(async () => {
    site = await startSite();
    folder = await mkdtemp(join(tmpdir(), "ws-gateway-client-"));
    browser = await chromium.launch({
      executablePath,
      timeout: timeout / 3,
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disk-cache-dir=" + folder],
    });
  });
  after(async () => {
    await browser?.close();
    site.stop();
    await rm(folder, { recursive: true, force: true });
  });

  // tab opens a page with a client named client; next(type) is its next event of that type.
  async function tab(t, w, settings = {}) {
    const context = await browser.newContext();
    context.setDefaultTimeout(timeout / 3);
    t.after(() => context.close());
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (e) => complaints.push(String(e)));
    t.after(() => assert.deepEqual(complaints, []));
    const events = queue();
    await page.exposeFunction("tell", (event) => events.push(event));
    await page.goto(site.url);
    await page.evaluate(async ([url, options]) => {
      const { Client } = await import("/index.js");
      window.client = new Client(url, options);
      for (const type of ["open", "message", "reconnecting", "close", "state"]) {
        window.client.addEventListener(type, ({ code, reason, opened, delay, status, data, state, unsent }) =>
          window.tell({ type, code, reason, opened, delay, status, data, state, unsent }));
      }
    }, [w.url, { ...quick, ...settings }]);
    return { context, page, next: (type) => nextOf(events, (event) => event.type === type) };
  }

  for (const [signal, code] of [["SIGTERM", 1001], ["SIGKILL", 1006]]) {
    test(`after ${signal} the client comes back, with what was sent meanwhile, in order and once`, { timeout }, async (t) => {
      const w = await world(t);
      const { page, next } = await tab(t, w);
      await next("open");
      const { conn_id } = await w.app.next("open");
      await w.call("send", { conn_id, payload: { hello: "ada" } });
      assert.equal((await next("message")).data, '{"hello":"ada"}');

      await w.stop(signal);
      assert.deepEqual((({ code, opened }) => [code, opened])(await next("reconnecting")), [code, true]);
      await page.evaluate(() => {
        for (let n = 0; n < 50; n++) window.client.sendEvent("count", n);
        window.client.send(new Uint8Array([0, 255, 1]));
      });
      const failed = await next("reconnecting");
      assert.deepEqual([failed.code, failed.opened, failed.status], [1006, false, undefined]);
      await w.restart();
      await next("open");
      for (let n = 0; n < 50; n++) assert.deepEqual((await w.app.next("message")).data, { event: "count", data: n });
      assert.equal((await w.app.next("message")).data, "AP8B");
    });
  }

  // The debugger halts the page as sleep does: no timer runs, no event arrives.
  test("a page that was halted for too long comes back when it goes on", { timeout }, async (t) => {
    const w = await world(t, "--ping-timeout", "4s");
    const { context, page, next } = await tab(t, w, { pingInterval: 250 });
    await next("open");
    const cdp = await context.newCDPSession(page);
    await cdp.send("Debugger.enable");
    const halted = new Promise((resolve) => cdp.once("Debugger.paused", resolve));
    await cdp.send("Debugger.pause");
    await halted;
    const { code, initiator } = await w.app.next("close");
    assert.deepEqual([code, initiator], [1008, "gateway"], "no ping leaves");
    await cdp.send("Debugger.resume");
    assert.equal((await next("reconnecting")).opened, true);
    await next("open");
  });

  test("the event online ends a long wait", { timeout }, async (t) => {
    const w = await world(t);
    const { context, next } = await tab(t, w, { backoffMax: 3_600_000, restartSpread: 3_600_000 });
    await next("open");
    await context.setOffline(true);
    await w.stop("SIGTERM");
    const { delay } = await next("reconnecting");
    t.diagnostic(`would have waited ${Math.round(delay / 1000)} s`);
    await w.restart();
    await context.setOffline(false);
    await next("open");
  });

  test("a close by the app is final, and what it gives back is there to see", { timeout }, async (t) => {
    const w = await world(t);
    const { page, next } = await tab(t, w);
    const { conn_id } = await w.app.next("open");
    await next("open");
    await w.call("close", { conns: [conn_id], code: 4001, reason: "signed in elsewhere" });
    const { code, reason, unsent } = await next("close");
    assert.deepEqual([code, reason, unsent], [4001, "signed in elsewhere", []]);
    assert.equal(await page.evaluate(() => window.client.state), "closed");
  });
});

// startSite serves an empty page, and the modules as they are packed.
async function startSite() {
  const server = http.createServer(async (request, response) => {
    if (request.url === "/") {
      response.setHeader("Content-Type", "text/html");
      response.end("<!doctype html><title>page</title><link rel=icon href='data:,'>");
      return;
    }
    response.setHeader("Content-Type", "text/javascript");
    response.end(await readFile(join(import.meta.dirname, "../../src", basename(request.url))));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.closeAllConnections() ?? server.close() };
}
