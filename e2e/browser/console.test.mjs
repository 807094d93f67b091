// The console in a real browser, through clicks, against the real gateway.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";
import WebSocket from "ws";
import { freeAddress, start } from "./program.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const screenshots = process.env.SCREENSHOTS; // a folder; nothing is kept without
const timeout = 300_000; // for what must happen, however busy the machine

let browser, folder; // of all tests here, one after the other

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ws-gateway-console-"));
  browser = await chromium.launch({
    executablePath,
    timeout: timeout / 3,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disk-cache-dir=" + folder],
  });
});

afterEach(() => Promise.all(browser.contexts().map((context) => context.close()))); // nothing is left to the next one

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

// open opens a page; what it complains of, or asks of others, is collected.
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 820 }, ...options });
  context.setDefaultTimeout(timeout / 3);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(String(e)));
  page.on("console", (m) => {
    if (m.type() === "error" && !/status of 401/.test(m.text())) complaints.push(m.text());
  });
  page.on("request", (r) => {
    if (new URL(r.url()).host !== new URL(url).host) complaints.push(`asked for ${r.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

// app is an app whose answers the test decides.
async function startApp() {
  const app = { status: 200 };
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      response.statusCode = app.status;
      response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  app.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  app.url = `http://127.0.0.1:${server.address().port}/ws/message`;
  return app;
}

// startGateway starts a gateway; without an app it only pushes. The app goes last:
// the gateway delivers its events before it stops.
async function startGateway(t, app, ...args) {
  const callback = app ? ["--callback-url", app.url + "?key=hidden-key"] : ["--no-callback"];
  const gateway = await start(["--listen", "127.0.0.1:0", "--drain-period", "0s", ...callback, ...args], "ready");
  t.after(async () => {
    await gateway.stop();
    app?.stop();
  });
  return gateway.lines.ready.listen;
}

async function dial(t, address, user) {
  const socket = new WebSocket(`ws://${address}/ws`, { headers: { "X-Bfl-User": user, "User-Agent": "probe/1" } });
  await once(socket, "open");
  t.after(() => socket.terminate());
  return socket;
}

const message = async (socket) => String((await once(socket, "message"))[0]);

test("the console shows who is connected, sends, watches and closes", { timeout }, async (t) => {
  const app = await startApp();
  const address = await startGateway(t, app, "--callback-secret", "hidden-secret");
  const { page, complaints } = await open(`http://${address}/console/`, { colorScheme: "dark" });

  // Nobody is there.
  await page.locator("#state[data-state=good]").waitFor();
  await page.getByRole("cell", { name: "No connection" }).waitFor();
  await page.locator("#app-state", { hasText: "Not called yet" }).waitFor();
  await picture(page, "console-none");

  // Two are; the list is asked for anew.
  const evil = "<img src=x onerror=alert(1)>";
  const ada = await dial(t, address, "ada");
  await dial(t, address, evil);
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("2 connections, page 1").waitFor();
  await page.getByRole("cell", { name: evil, exact: true }).waitFor();
  await page.locator("#tiles div", { hasText: "Connections" }).getByText("2", { exact: true }).waitFor();
  await page.getByText("Up, no outage since the start").waitFor();

  // By user, by id, nobody.
  await page.getByLabel("Search for").fill("ada");
  await page.keyboard.press("Enter");
  await page.getByText("1 connection of ada, page 1").waitFor();
  const id = await page.locator("#list td.code").innerText();
  await page.getByLabel("Search by").selectOption("connection id");
  await page.getByLabel("Search for").fill("nobody");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("cell", { name: "No connection" }).waitFor();
  await page.getByLabel("Search for").fill(id);
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("1 connection, page 1").waitFor();

  // Watch one: payloads are hidden until they are asked for.
  await page.getByRole("button", { name: `Watch ada ${id}` }).click();
  await page.locator("#tail-status", { hasText: "Watching" }).waitFor();
  ada.send('{"private":"yes"}');
  await page.locator("#tail li", { hasText: "message" }).getByText("17 B").waitFor();
  assert.equal(await page.getByText("private").count(), 0);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByLabel("payloads too").check();
  await page.locator("#tail-toggle", { hasText: "Start" }).click();

  // Send to one, JSON byte for byte; to a user, text; to everybody, asked twice.
  await page.getByRole("button", { name: `Send ada ${id}` }).click();
  await page.getByLabel("Message", { exact: true }).fill('{"n": 12345678901234567890}');
  let received = message(ada);
  await page.locator("#send-form button").click();
  assert.equal(await received, '{"n": 12345678901234567890}');
  await page.getByText("Sent to 1 of 1 connections").waitFor();
  await page.locator("#tail code", { hasText: '{"n": 12345678901234567890}' }).waitFor();
  await page.getByLabel("Message", { exact: true }).fill("{");
  await page.locator("#send-form button").click();
  await page.getByText("This is not JSON").waitFor();
  await page.getByLabel("one user").check();
  await page.getByLabel("User name").fill("ada");
  await page.getByLabel("plain text").check();
  await page.getByLabel("Message", { exact: true }).fill('good "day"');
  received = message(ada);
  await page.locator("#send-form button").click();
  assert.equal(await received, 'good "day"');
  await page.getByRole("radio", { name: "everybody" }).check();
  await page.locator("#send-form button").click();
  await page.getByText("all connections, 2 now").waitFor();
  received = message(ada);
  await page.getByRole("dialog").getByRole("button", { name: "Send" }).click();
  assert.equal(await received, 'good "day"');
  await page.getByText("Sent to 2 of 2 connections").waitFor();

  // Close one: a code that is not allowed is refused, and says so in the dialog.
  await page.getByRole("button", { name: `Close ada ${id}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Code").fill("1001");
  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.getByRole("alert").getByText("1000").waitFor();
  await dialog.getByLabel("Code").fill("4001");
  await dialog.getByLabel("Reason").fill("by the operator");
  const closed = once(ada, "close");
  await dialog.getByRole("button", { name: "Close" }).click();
  const [code, reason] = await closed;
  assert.deepEqual([code, String(reason)], [4001, "by the operator"]);
  await page.locator("#tail li", { hasText: "4001 by the operator by app" }).waitFor();

  // What the app refuses is among its failures.
  app.status = 400;
  (await dial(t, address, "carol")).close();
  await page.getByRole("cell", { name: "rejected" }).first().waitFor();

  // The configuration, without secrets.
  await page.getByText("Show what is in force").click();
  await page.locator("#config", { hasText: "callback-url" }).waitFor();
  const config = await page.locator("#config").innerText();
  assert.doesNotMatch(config, /hidden/);
  assert.match(config, /callback-secret/);

  await picture(page, "console-few");
  assert.equal(await page.evaluate(() => document.querySelectorAll("img").length), 0);
  assert.deepEqual(complaints, []);
});

test("an app that is down is said where nobody can miss it", { timeout }, async (t) => {
  const app = await startApp();
  t.after(() => app.stop());
  const gateway = await start(["--listen", "127.0.0.1:0", "--callback-url", app.url, "--callback-retry-for", "1s", "--drain-period", "0s"], "ready");
  t.after(() => gateway.stop());
  const address = gateway.lines.ready.listen;
  const { page, complaints } = await open(`http://${address}/console/`);
  const first = page.locator("#tiles div").first();
  await first.getByText("App").waitFor();
  await page.locator("#state[data-state=good]", { hasText: /^Ready$/ }).waitFor();
  app.stop();
  await dial(t, address, "ada");
  await page.locator("#state[data-state=bad]", { hasText: /App down since \d\d:\d\d:\d\d/ }).waitFor();
  await first.locator("dd[data-state=bad]", { hasText: "Down" }).waitFor();
  assert.ok((await page.locator("#state").boundingBox()).y < 100 && (await first.boundingBox()).y < 300, "it is below the fold");
  await page.locator("#app-state", { hasText: /Down for \d+ s/ }).waitFor();
  await picture(page, "console-app-down");
  assert.deepEqual(complaints, []);
});

test("an app that answers 500 to everything is no green Ready either", { timeout }, async (t) => {
  const app = await startApp();
  app.status = 500;
  const address = await startGateway(t, app, "--callback-retry-for", "1s");
  const { page, complaints } = await open(`http://${address}/console/`);
  for (let i = 0; i < 5; i++) await dial(t, address, `user-${i}`);
  await page.locator("#state[data-state=bad]", { hasText: /App fails since \d\d:\d\d:\d\d/ }).waitFor();
  await page.locator("#tiles dd[data-state=bad]", { hasText: "Failing" }).waitFor();
  await page.locator("#app-state[data-state=bad]", { hasText: "500" }).waitFor();
  await picture(page, "console-app-fails");
  app.status = 200;
  await dial(t, address, "better");
  await page.locator("#state[data-state=good]", { hasText: /^Ready$/ }).waitFor();
  assert.deepEqual(complaints, []);
});

test("a list says that it is no longer up to date, and the focus is never lost", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  const sockets = [];
  for (let i = 0; i < 5; i++) sockets.push(await dial(t, address, i < 3 ? `red-${i}` : `blue-${i}`));
  const { page, complaints } = await open(`http://${address}/console/`);
  await page.getByText("5 connections, page 1, as of").waitFor();
  assert.ok(await page.locator("#list-age").isHidden());
  await dial(t, address, "late");
  sockets.pop().close();
  await page.getByText("Not up to date: since then 1 opened and 1 closed.").waitFor();
  await page.getByRole("button", { name: "Refresh", exact: true }).click();
  await page.getByText("5 connections, page 1, as of").waitFor();
  await page.locator("#list-age", { hasText: /^$/ }).waitFor({ state: "hidden" });
  await page.getByRole("cell", { name: "late", exact: true }).waitFor();

  // By the beginning of a name, by address, by range.
  const search = async (by, text, found) => {
    await page.getByLabel("Search by").selectOption(by);
    await page.getByLabel("Search for").fill(text);
    await page.keyboard.press("Enter");
    await page.locator("#list-status", { hasText: found }).waitFor();
  };
  await search("user name, its beginning", "red-", /^3 connections/);
  await search("address or range", "127.0.0.0/8", /^5 connections/);
  await search("address or range", "192.0.2.1", /^0 connections/);
  await search("address or range", "elsewhere", /^remote must be an address/);
  await search("age", "1h", /^0 connections/);
  await search("age", "1ms", /^5 connections/);
  await search("age", "old", /^older_than must be a time/);
  await search("user name, its beginning", "red-", /^3 connections/);

  // One Tab stop; arrow keys go on from there, and closing leaves the focus in the list.
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);
  const getsFocus = (label) => page.waitForFunction((l) => (document.activeElement.getAttribute("aria-label") ?? document.activeElement.id) === l, label);
  assert.equal(await page.locator("#list button[tabindex='0']").count(), 1);
  assert.equal(await page.locator("#list button[tabindex='-1']").count(), 11);
  await page.locator("#list button[tabindex='0']").focus();
  const rows = await page.locator("#list tr").count();
  assert.equal(rows, 3);
  const label = (row, column) => page.locator(`#list tr:nth-child(${row}) button:nth-child(${column})`).getAttribute("aria-label");
  for (const [key, row, column] of [["ArrowRight", 1, 2], ["ArrowDown", 2, 2], ["End", 3, 2], ["ArrowDown", 3, 2], ["ArrowRight", 3, 3], ["ArrowRight", 3, 4], ["ArrowRight", 3, 4], ["Home", 1, 4], ["ArrowUp", 1, 4], ["ArrowDown", 2, 4]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), await label(row, column), `${key} should lead to row ${row}, button ${column}`);
  }
  assert.equal(await page.locator("#list button[tabindex='0']").getAttribute("aria-label"), await label(2, 4));
  const next = await label(3, 4);
  for (let i = 0; i < 5; i++) await page.keyboard.down("Enter"); // held down: it repeats
  await page.keyboard.up("Enter");
  assert.equal(await page.locator("#list tr").count(), 3, "an Enter that is held down has closed somebody");
  await page.getByRole("dialog").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await getsFocus(next);
  for (let left = 2; left > 0; left--) {
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  }
  await page.getByRole("cell", { name: "No connection" }).waitFor();
  await getsFocus("search-text");
  assert.deepEqual(complaints, []);
});

test("pages of the list follow one another, and fit a small screen", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  for (let i = 0; i < 60; i++) await dial(t, address, `user-${i}`);
  const { page, complaints } = await open(`http://${address}/console/`, { viewport: { width: 360, height: 740 } });
  await page.getByText("50 connections, page 1; there are more").waitFor();
  await page.getByText("None: this gateway only pushes").waitFor();
  const first = new Set(await page.locator("#list td.code").allInnerTexts());
  await page.locator("#next").click();
  await page.getByText("10 connections, page 2").waitFor();
  for (const id of await page.locator("#list td.code").allInnerTexts()) assert.ok(!first.has(id), id);
  assert.ok(await page.locator("#next").isDisabled());
  await page.locator("#first").click();
  await page.getByText("50 connections, page 1").waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "the page is wider than the screen");
  await page.evaluate(() => scrollTo(0, 0));
  await picture(page, "console-narrow");
  assert.deepEqual(complaints, []);
});

test("groups are shown with their sizes and members, sent to, watched and closed", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  const ada = await dial(t, address, "ada");
  const bela = await dial(t, address, "bela");
  await dial(t, address, "carol");
  const join = async (groups, ...users) => {
    const answer = await fetch(`http://${address}/tapr/ws/group/join`, { method: "POST", body: JSON.stringify({ groups, users }) });
    assert.equal((await answer.json()).code, 0);
  };
  const { page, complaints } = await open(`http://${address}/console/`);
  const groups = page.locator("#groups");
  await groups.getByRole("cell", { name: "No group" }).waitFor();
  const tile = (name, value) => page.locator("#tiles div", { hasText: name }).getByText(value, { exact: true }).waitFor();
  await tile("Groups", "0");
  await tile("Memberships", "0");
  const evil = "<b>tea</b>, green";
  await join([evil], "ada", "bela");
  await join(["late"], "ada");
  await tile("Groups", "2");
  await tile("Memberships", "3");
  await groups.getByRole("button", { name: "Refresh groups" }).click();
  await groups.getByText("2 groups, page 1, as of").waitFor();
  assert.deepEqual((await page.locator("#group-list tr").allInnerTexts()).map((row) => row.split("\n")[0].trim()).sort(), [`${evil}\t2`, "late\t1"].sort());
  assert.equal(await page.locator("#group-list b").count(), 0);

  // Its members; a connection's groups, a user's.
  await page.getByRole("button", { name: `Members ${evil}` }).click();
  await page.locator("#list-status", { hasText: `2 connections in ${evil}, page 1` }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "connections");
  await page.getByRole("button", { name: /^Groups bela / }).click();
  await groups.getByText("1 group of this connection, page 1").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "groups");
  await groups.getByLabel("Groups of", { exact: true }).selectOption("one user");
  await groups.getByLabel("Whose groups").fill("ada");
  await page.keyboard.press("Enter");
  await groups.getByText("2 groups of ada, page 1").waitFor();
  await groups.getByLabel("Whose groups").fill("carol");
  await page.keyboard.press("Enter");
  await groups.getByText("0 groups of carol, page 1").waitFor();
  await groups.getByLabel("Groups of", { exact: true }).selectOption("everybody");
  await groups.getByRole("button", { name: "Show" }).click();
  await groups.getByText("2 groups, page 1").waitFor();

  // One Tab stop, and arrow keys.
  assert.equal(await page.locator("#group-list button[tabindex='0']").count(), 1);
  await page.locator("#group-list button[tabindex='0']").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement === document.querySelector("#group-list tr:nth-child(2) button:nth-child(2)")), true);

  // Watch it, and send to it.
  await page.getByRole("button", { name: `Watch ${evil}` }).click();
  await page.locator("#tail-status", { hasText: "Watching" }).waitFor();
  await page.getByRole("button", { name: `Send ${evil}` }).click();
  assert.equal(await page.locator("#target").inputValue(), evil);
  const received = [message(ada), message(bela)];
  await page.getByLabel("Message", { exact: true }).fill("[1]");
  await page.locator("#send-form button").click();
  assert.deepEqual(await Promise.all(received), ["[1]", "[1]"]);
  await page.getByText("Sent to 2 of 2 connections").waitFor();
  await page.locator("#tail li", { hasText: "send" }).nth(1).waitFor();
  await picture(page, "console-groups");

  // Close its members.
  await page.getByRole("button", { name: `Members ${evil}` }).click();
  await page.getByRole("button", { name: "Close all in this group" }).click();
  const closed = [once(ada, "close"), once(bela, "close")];
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await Promise.all(closed);
  await page.locator("#list-status", { hasText: `0 connections in ${evil}, page 1` }).waitFor();
  await page.locator("#tail li", { hasText: "1000" }).nth(1).waitFor();
  await page.locator("#send-form button").click();
  await page.getByText("Nobody there: no such connection, user or group").waitFor();
  assert.deepEqual(complaints, []);
});

test("all connections from an address are closed", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  for (const name of ["ada", "bela"]) await dial(t, address, name);
  const { page, complaints } = await open(`http://${address}/console/`);
  await page.getByText("2 connections, page 1").waitFor();
  const all = page.getByRole("button", { name: "Close all from this address" });
  assert.equal(await all.count(), 0);
  await page.getByLabel("Search by").selectOption("address or range");
  await page.getByLabel("Search for").fill("127.0.0.0/8");
  await page.keyboard.press("Enter");
  await all.click();
  await page.getByRole("dialog").getByText("All connections from 127.0.0.0/8").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("cell", { name: "No connection" }).waitFor();
  assert.deepEqual(complaints, []);
});

test("a connection's metadata is shown, as text", { timeout }, async (t) => {
  const address = await startGateway(t, undefined, "--max-meta", "1KiB");
  await dial(t, address, "ada");
  const { page, complaints } = await open(`http://${address}/console/`);
  await page.getByText("1 connection, page 1").waitFor();
  assert.equal(await page.getByText("Metadata:").count(), 0);
  const body = JSON.stringify({ users: ["ada"], meta: { room: "<b>tea</b>" } });
  assert.equal((await (await fetch(`http://${address}/tapr/ws/conn/meta`, { method: "POST", body })).json()).code, 0);
  await page.locator("#reload").click();
  await page.getByText('Metadata: {"room":"<b>tea</b>"}').waitFor();
  assert.equal(await page.locator("#list b").count(), 0);
  assert.deepEqual(complaints, []);
});

test("pages of groups follow one another, and fit a small screen", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  await dial(t, address, "ada");
  const names = Array.from({ length: 60 }, (_, i) => `room ${i} ${"x".repeat(240)}`);
  const joined = await fetch(`http://${address}/tapr/ws/group/join`, { method: "POST", body: JSON.stringify({ groups: names, all: true }) });
  assert.equal((await joined.json()).code, 0);
  const { page, complaints } = await open(`http://${address}/console/`, { viewport: { width: 360, height: 740 } });
  const listed = page.locator("#group-list td[data-label=Group]");
  await page.getByText("50 groups, page 1; there are more").waitFor();
  const seen = new Set(await listed.allInnerTexts());
  await page.getByRole("button", { name: "Next page of groups" }).click();
  await page.getByText("10 groups, page 2").waitFor();
  for (const name of await listed.allInnerTexts()) seen.add(name);
  assert.equal(seen.size, 60);
  await page.waitForFunction(() => document.activeElement.id === "groups-first");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "the page is wider than the screen");
  await page.locator("#group-list button").first().click();
  await page.locator("#list-status", { hasText: /^1 connection in room/ }).waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "a long name makes the page wider than the screen");
  await page.locator("#groups").scrollIntoViewIfNeeded();
  await picture(page, "console-groups-narrow");
  assert.deepEqual(complaints, []);
});

test("with a token the page asks for it, and forgets one that is wrong", { timeout }, async (t) => {
  const address = await startGateway(t, undefined, "--admin-token", "right-token");
  const { page, complaints } = await open(`http://${address}/console/`);
  await page.getByLabel("Token").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("does not take this token").waitFor();
  await picture(page, "console-token");
  assert.ok(await page.locator("#console").isHidden());
  await page.getByLabel("Token").fill("right-token");
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.locator("#state[data-state=good]").waitFor();
  await page.reload();
  await page.locator("#state[data-state=good]").waitFor();
  assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie]), [0, ""]);
  assert.deepEqual(complaints, []);
});

test("a page of another origin can neither read nor send", { timeout }, async (t) => {
  const address = await startGateway(t, undefined);
  const ada = await dial(t, address, "ada");
  const received = [];
  ada.on("message", (m) => received.push(String(m)));
  const stranger = createServer((_, response) => response.end("<!doctype html><title>stranger</title>"));
  stranger.listen(0, "127.0.0.1"); // the same site, another origin
  await once(stranger, "listening");
  t.after(() => {
    stranger.closeAllConnections();
    stranger.close();
  });
  const context = await browser.newContext();
  context.setDefaultTimeout(timeout / 3);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${stranger.address().port}/`);
  const tried = await page.evaluate(async (gateway) => {
    const body = '{"payload":"stolen","all":true}';
    const attempts = {
      read: () => fetch(`${gateway}/tapr/ws/conn/list`),
      events: () => fetch(`${gateway}/tapr/ws/conn/events`),
      send: () => fetch(`${gateway}/tapr/ws/conn/send`, { method: "POST", body, headers: { "Content-Type": "application/json" } }),
      "send without reading": () => fetch(`${gateway}/tapr/ws/conn/send`, { method: "POST", body, mode: "no-cors" }).then(() => Promise.reject(new Error("opaque"))),
      frame: () => new Promise((resolve, reject) => {
        const frame = document.createElement("iframe");
        frame.onload = () => (frame.contentDocument === null ? reject(new Error("blocked")) : resolve());
        frame.src = `${gateway}/console/`;
        document.body.append(frame);
      }),
    };
    const results = {};
    for (const [name, attempt] of Object.entries(attempts)) results[name] = await attempt().then(() => "worked", () => "failed");
    return results;
  }, `http://${address}`);
  assert.deepEqual(tried, { read: "failed", events: "failed", send: "failed", "send without reading": "failed", frame: "failed" });

  // A send from the gateway's own host shows that the one above was not merely late.
  const own = message(ada);
  await fetch(`http://${address}/tapr/ws/conn/send`, { method: "POST", body: '{"payload":"own","all":true}' });
  await own;
  assert.deepEqual(received, ['"own"']);
});

test("the page says that the gateway is gone, and goes on when it is back", { timeout }, async (t) => {
  const address = await freeAddress();
  const first = await start(["--listen", address, "--no-callback", "--drain-period", "0s"], "ready");
  const { page } = await open(`http://${address}/console/`);
  await page.locator("#state[data-state=good]").waitFor();
  await page.locator("#tail-toggle").click();
  await page.locator("#tail-status", { hasText: "Watching" }).waitFor();
  await first.stop();
  await page.locator("#state", { hasText: "No answer from the gateway" }).waitFor();
  await page.locator("#tail-toggle", { hasText: "Start" }).waitFor();
  await page.locator("#state", { hasText: /what you see is of \d\d:\d\d:\d\d/ }).waitFor();
  await page.locator("#console.stale").waitFor();
  const second = await start(["--listen", address, "--no-callback", "--drain-period", "0s"], "ready");
  t.after(() => second.stop());
  await page.locator("#state[data-state=good]").waitFor();
  await page.locator("#console:not(.stale)").waitFor();
  await page.getByText("The gateway was started anew since").waitFor();
});

test("the console shows the gateways of a cluster, and lists and events of all or one", { timeout }, async (t) => {
  const demo = await start(["demo", "--instances", "2", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0", "--cluster-timeout", "1m", "--cluster-dead-after", "10m", "--drain-period", "0s"],
    ["ready", "gateway", "demo-1"], ["ready", "gateway", "demo-2"]);
  t.after(() => demo.stop());
  const [one, two] = ["demo-1", "demo-2"].map((name) => demo.lines[`ready ${name}`].listen);
  const { page, complaints } = await open(`http://${one}/console/`);
  const row = (name) => page.locator("#instance-list tr", { hasText: name });
  await row("demo-1").getByText("asked by this page").waitFor();
  await row("demo-2").getByText("heard", { exact: true }).waitFor();
  await page.getByText("2 of demo", { exact: true }).waitFor();

  // All: the lists name whoever is at either.
  await dial(t, one, "ada");
  const bela = await dial(t, two, "bela");
  await row("demo-2").locator("td[data-label=Connections]", { hasText: "1" }).waitFor();
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("2 connections, page 1").waitFor();
  await page.getByLabel("At most a second").fill("100");
  await page.locator("#tail-toggle").click();
  await page.locator("#tail-status", { hasText: "Watching" }).waitFor();
  const says = async (text) => { // the stream begins some time after the click
    for (;;) {
      bela.send(text);
      if (await page.locator("#tail li", { hasText: "message" }).count() > 0) return;
      await page.waitForTimeout(50);
    }
  };
  await says('"hello"');
  await page.locator("#tail li", { hasText: "message bela" }).getByText(/ at demo-2 7 B$/).first().waitFor();

  // One of them: its connections alone, and its events.
  await page.getByRole("button", { name: "Show demo-2" }).click();
  assert.equal(await page.getByLabel("Lists and events of").locator("option:checked").innerText(), "demo-2");
  await page.getByText("1 connection, page 1").waitFor();
  await page.locator("#list").getByRole("cell", { name: "bela", exact: true }).waitFor();
  await picture(page, "console-cluster");
  await page.getByLabel("Lists and events of").selectOption("demo-1");
  await page.locator("#list").getByRole("cell", { name: "ada", exact: true }).waitFor();

  // A message to everybody is for both gateways' clients.
  await page.getByRole("radio", { name: "everybody" }).check();
  await page.locator("#send-form button").click();
  await page.getByText("all connections, 2 now").waitFor();
  const received = message(bela);
  await page.getByRole("dialog").getByRole("button", { name: "Send" }).click();
  assert.match(await received, /Hello/);
  await page.getByText("Sent to 2 of 2 connections").waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  await picture(page, "console-cluster-narrow");
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
  assert.deepEqual(complaints, []);
});
