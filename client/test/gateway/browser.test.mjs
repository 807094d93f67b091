// The client in headless browsers: those that BROWSERS names, chromium and firefox.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import puppeteer from "puppeteer-core";
import { queue } from "../../../e2e/browser/program.mjs";
import { aGateway, count, expected, quick as resuming, randomCuts, readable, said } from "./conversation.mjs";
import { blocks } from "./readme.mjs";
import { startSite } from "./site.mjs";
import { nextOf, quick, world } from "./world.mjs";

const timeout = 300_000; // for what must happen, however busy the machine
const known = {
  chromium: {
    browser: "chrome",
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  },
  firefox: {
    browser: "firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    // Firefox lets who has lost a connection wait before the next one, longer each time.
    extraPrefsFirefox: { "network.websocket.delay-failed-reconnects": false },
  },
};
const browsers = (process.env.BROWSERS ?? "chromium").split(",");

for (const name of browsers) {
  describe(`in ${name}`, { concurrency: 3 }, () => {
    let browser, site;
    before(async () => {
      site = await startSite();
      browser = await puppeteer.launch({ ...known[name], headless: true, timeout: timeout / 3, protocolTimeout: timeout });
    });
    after(async () => {
      await browser?.close();
      site.stop();
    });

    // One page is made after the other, and none is closed before the browser is: Firefox
    // loses new ones while others come and go.
    let made = Promise.resolve();
    const make = async () => (await browser.createBrowserContext()).newPage();

    // open opens a page; what it complains of fails the test, lost WebSockets apart, which
    // are errors to Firefox.
    async function open(t, url) {
      made = made.then(make, make);
      const page = await made;
      t.after(() => page.goto("about:blank"));
      page.setDefaultTimeout(timeout / 3);
      const complaints = [];
      page.on("pageerror", (e) => /connection.* ws:/.test(e) || complaints.push(String(e)));
      t.after(() => assert.deepEqual(complaints, []));
      await page.goto(url);
      return page;
    }

    // tab opens a page with a client named client; next(type) is its next event of that type.
    async function tab(t, w, settings = {}) {
      const page = await open(t, site.url);
      const events = queue();
      await page.exposeFunction("tell", (event) => events.push(event));
      await page.evaluate(async (url, options) => {
        const { Client } = await import("/ws-gateway-client/index.js");
        window.client = new Client(url, options);
        for (const type of ["open", "message", "reconnecting", "close", "state"]) {
          window.client.addEventListener(type, ({ code, reason, opened, delay, status, data, state, unsent }) =>
            window.tell({ type, code, reason, opened, delay, status, data, state, unsent }));
        }
      }, w.url, { ...quick, ...settings });
      return { page, next: (type) => nextOf(events, (event) => event.type === type) };
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
        assert.deepEqual([failed.code, failed.opened, failed.status ?? null], [1006, false, null]);
        await w.restart();
        await next("open");
        for (let n = 0; n < 50; n++) assert.deepEqual((await w.app.next("message")).data, { event: "count", data: n });
        assert.equal((await w.app.next("message")).data, "AP8B");
      });
    }

    // A request that the page waits for halts it as sleep does: no timer runs, no event arrives.
    test("a page that was halted for too long comes back when it goes on", { timeout }, async (t) => {
      const w = await world(t, "--ping-timeout", "4s");
      const { page, next } = await tab(t, w, { pingInterval: 250 });
      await next("open");
      await page.evaluate(() => setTimeout(() => {
        const request = new XMLHttpRequest();
        request.open("GET", "/halt", false);
        request.send();
      }));
      const { code, initiator } = await w.app.next("close");
      assert.deepEqual([code, initiator], [1008, "gateway"], "no ping leaves");
      site.release();
      assert.equal((await next("reconnecting")).opened, true);
      await next("open");
    });

    test("the event online ends a long wait", { timeout }, async (t) => {
      const w = await world(t);
      const { page, next } = await tab(t, w, { backoffMax: 3_600_000, restartSpread: 3_600_000 });
      await next("open");
      await page.setOfflineMode(true);
      await w.stop("SIGTERM");
      const { delay } = await next("reconnecting");
      t.diagnostic(`would have waited ${Math.round(delay / 1000)} s`);
      await w.restart();
      await page.setOfflineMode(false);
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

    test("through cuts at random places every message arrives once and in order, compressed too", { timeout }, async (t) => {
      const c = await aGateway(t, "--compression", "--compression-threshold", "20");
      const page = await open(t, site.url);
      const converse = async (line) => {
        const result = await page.evaluate(async (url, options, said, count) => {
          const { Client } = await import("/ws-gateway-client/index.js");
          const client = new Client(url, options);
          const events = [];
          const got = [];
          for (const type of ["lost", "close"]) client.addEventListener(type, () => events.push(type));
          await new Promise((resolve) => {
            client.addEventListener("message", ({ data }) => got.push(typeof data === "string" ? data : [...new Uint8Array(data)]) === count && resolve());
            for (const data of said) client.send(typeof data === "string" ? data : Uint8Array.from(data));
          });
          for (client.check(); client.bufferedMessages > 0; client.check()) await new Promise((resolve) => setTimeout(resolve, 5));
          const before = [...events]; // a client that is just coming back is closed at once
          client.close();
          return [got, before];
        }, line.url, resuming, said.map(readable), count);
        assert.deepEqual(result, [expected, []]);
        line.end();
        return line;
      };
      const cuts = randomCuts(t, await converse(await c.lineTo([])), 60);
      for (let n = 0; n < cuts.length; n += 3) await converse(await c.lineTo(cuts.slice(n, n + 3)));
      const heard = await c.all(21);
      for (const got of heard.values()) assert.deepEqual(got, expected);
      assert.equal(heard.size, 21);
    });

    // The pages of the README.
    const react = async () => {
      const { outputFiles } = await build({
        stdin: { contents: blocks("jsx")[0], loader: "jsx", resolveDir: import.meta.dirname },
        jsx: "automatic", bundle: true, write: false, format: "esm", define: { "process.env.NODE_ENV": '"production"' },
      });
      return { "/": "<!doctype html><title>React</title><div id=root></div><script type=module src=/page.js></script>", "/page.js": outputFiles[0].text };
    };
    for (const [what, pages] of [["the page of the README", async () => ({ "/": blocks("html", "doctype")[0] })], ["the page with React", react]]) {
      test(`${what} talks to the app, and a cut line costs it nothing`, { timeout }, async (t) => {
        const w = await world(t, "--resume-for", "10m");
        const own = await startSite(t, { pages: await pages(), target: w.address });
        const page = await open(t, own.url);
        const shows = (id, text) => page.waitForFunction((id, text) => document.getElementById(id)?.textContent === text, {}, id, text);
        const say = async (text) => {
          await page.type("form input", text);
          await page.keyboard.press("Enter");
          assert.equal((await w.app.next("message")).data, text);
        };
        const { conn_id } = await w.app.next("open");
        await shows("state", "open");
        await say("hello, app");
        await w.call("send", { conn_id, payload: "1 < 2", encoding: "text" });
        await shows("messages", "1 < 2");
        own.cut();
        await w.call("send", { conn_id, payload: " and more", encoding: "text" });
        await shows("messages", "1 < 2 and more");
        await say("still there");
        await w.call("close", { conns: [conn_id], code: 4001, reason: "enough" });
        await shows("state", "closed");
        assert.equal((await w.app.next("close")).code, 4001);
      });
    }
  });
}
