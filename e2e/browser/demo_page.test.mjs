// The demo's page in a real browser: two tabs talk through gateway, callback, app
// and send call; three talk through three gateways, of which one is cut off, and one of
// which carries a tab to the gateway with its session.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { freeAddress, start } from "./program.mjs";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const screenshots = process.env.SCREENSHOTS; // a folder; nothing is kept without
const timeout = 300_000; // for what must happen, however busy the machine

async function startBrowser(t) {
  const folder = await mkdtemp(join(tmpdir(), "ws-gateway-browser-"));
  const browser = await chromium.launch({
    executablePath,
    timeout: timeout / 3,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disk-cache-dir=" + folder],
  });
  t.after(async () => {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  });
  return browser;
}

// tab opens the page as somebody; what the page complains of fails the test.
async function tab(browser, origin, name, colorScheme) {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1180, height: 760 } });
  context.setDefaultTimeout(timeout / 3);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(String(e)));
  page.on("request", (r) => {
    const host = new URL(r.url()).host;
    if (host !== new URL(origin).host) complaints.push(`asked for ${r.url()}`);
  });
  await page.goto(origin);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#state[data-state=open]").waitFor();
  return { page, complaints };
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

test("two tabs of the demo talk, and the page shows the callbacks", { timeout }, async (t) => {
  const addresses = ["--listen", await freeAddress(), "--app-listen", await freeAddress()];
  let demo = await start(["demo", ...addresses, "--drain-period", "0s"], "ready", "demo");
  t.after(() => demo.stop());
  const origin = `http://${demo.lines.demo.app}`;
  const browser = await startBrowser(t);
  const ada = await tab(browser, origin, "Ada", "light");
  const evil = '<img src=x onerror="document.title=\'owned\'">';
  const bela = await tab(browser, origin, "Béla " + evil.slice(0, 10), "dark");
  const messages = (who) => who.page.locator("#messages");
  const callback = (who, action) => who.page.locator(`#callbacks li[data-action=${action}]`);

  // What one says the other reads, as text.
  await ada.page.getByLabel("Message", { exact: true }).fill(evil + " & hello");
  await ada.page.getByRole("button", { name: "Send" }).click();
  await messages(bela).getByText(evil + " & hello").waitFor();
  await messages(ada).getByText("You", { exact: true }).waitFor();
  await bela.page.getByLabel("Message", { exact: true }).fill("Hello Ada, I am in the other tab.");
  await bela.page.keyboard.press("Enter");
  await messages(ada).getByText("Hello Ada, I am in the other tab.").waitFor();
  assert.notEqual(await bela.page.title(), "owned");

  // To one alone.
  await bela.page.getByLabel("To", { exact: true }).selectOption("Ada");
  await bela.page.getByLabel("Message", { exact: true }).fill("Only for you");
  await bela.page.keyboard.press("Enter");
  await messages(ada).getByText("Only for you").waitFor();
  await messages(ada).getByText("to you alone").waitFor();

  // In a room: its members alone read it, and are told who comes and goes.
  const enter = async (who, room) => {
    await who.page.getByLabel("Rooms", { exact: true }).fill(room);
    await who.page.getByRole("button", { name: "Join room" }).click();
    await who.page.getByRole("button", { name: `Leave the room ${room}` }).waitFor();
  };
  await enter(ada, "tea, green");
  await ada.page.getByLabel("To", { exact: true }).selectOption("Room tea, green");
  await ada.page.getByLabel("Message", { exact: true }).fill("Nobody hears me");
  await ada.page.keyboard.press("Enter");
  await messages(ada).getByText("Nobody hears me").waitFor();
  await enter(bela, "tea, green");
  await messages(ada).getByText(/^Béla .* joined tea, green$/).waitFor();
  await ada.page.getByLabel("Message", { exact: true }).fill("Tea is ready");
  await ada.page.keyboard.press("Enter");
  await messages(bela).getByText("Tea is ready").waitFor();
  await messages(bela).getByText("Ada in tea, green").waitFor();
  assert.equal(await messages(bela).getByText("Nobody hears me").count(), 0);
  await ada.page.getByRole("button", { name: "Leave the room tea, green" }).click();
  await messages(ada).getByText("You left tea, green").waitFor();
  await messages(bela).getByText("Ada left tea, green").waitFor();
  assert.equal(await ada.page.getByLabel("To", { exact: true }).inputValue(), "to:");
  await bela.page.getByLabel("To", { exact: true }).selectOption("Ada");

  // The callbacks, with what the gateway has sent.
  await bela.page.getByLabel("Message", { exact: true }).fill("Only for you");
  await bela.page.keyboard.press("Enter");
  await messages(ada).getByText("Only for you").nth(1).waitFor();
  await callback(ada, "message").nth(8).waitFor();
  assert.equal(await callback(ada, "open").count(), 2);
  const body = JSON.parse(await callback(ada, "message").first().locator("pre").innerText());
  assert.equal(body.action, "message");
  assert.deepEqual(body.data, { event: "chat", data: { text: "Only for you", to: "Ada" } });
  await enter(ada, "tea, green");
  assert.match(body.user_name, /^Béla </);

  // A line is cut: nothing is lost, and the app sees neither close nor open.
  const opens = await callback(bela, "open").count();
  await ada.page.getByRole("button", { name: "Cut the line" }).click();
  await ada.page.locator("#state[data-state=waiting]").waitFor();
  await bela.page.getByLabel("Message", { exact: true }).fill("Are you still there?");
  await bela.page.keyboard.press("Enter");
  await ada.page.locator("#online").getByText("Ada (away)").waitFor();
  await picture(ada.page, "line-cut");
  await ada.page.locator("#trial[data-result=whole]").waitFor();
  await ada.page.getByText("Connected as Ada · resumed").waitFor();
  await messages(ada).getByText("Are you still there?").waitFor();
  await picture(ada.page, "line-back");
  assert.deepEqual([await callback(bela, "open").count(), await callback(bela, "close").count()], [opens, 0]);
  assert.equal(await ada.page.locator("#online").getByText("(away)").count(), 0);

  await bela.page.locator("#online li").nth(1).waitFor();
  await picture(ada.page, "light");
  await picture(bela.page, "dark");
  await ada.page.setViewportSize({ width: 390, height: 844 });
  await picture(ada.page, "narrow");
  await ada.page.setViewportSize({ width: 1180, height: 760 });

  // The app closes a connection.
  await ada.page.getByRole("button", { name: /close the connection of Béla/ }).click();
  await bela.page.getByText("Closed with 4001: closed by the app").waitFor();
  assert.equal(await bela.page.locator("#state").getAttribute("data-state"), "idle");
  await callback(ada, "close").first().waitFor();
  const close = JSON.parse(await callback(ada, "close").first().locator("pre").innerText());
  assert.deepEqual([close.code, close.reason, close.initiator], [4001, "closed by the app", "app"]);
  await ada.page.locator("#online li").nth(1).waitFor({ state: "detached" });
  await picture(bela.page, "closed");

  // The gateway goes and comes back: so does the tab.
  const { code, log } = await demo.stop();
  assert.equal(code, 0, log);
  await ada.page.locator("#state[data-state=waiting]").waitFor();
  await picture(ada.page, "lost");
  demo = await start(["demo", ...addresses, "--drain-period", "0s"], "ready", "demo");
  await ada.page.locator("#state[data-state=open]").waitFor();
  await ada.page.getByLabel("Message", { exact: true }).fill("Back again");
  await ada.page.keyboard.press("Enter");
  await messages(ada).getByText("Back again").waitFor();
  await messages(ada).getByText("You joined tea, green").nth(2).waitFor(); // as whoever comes back does

  assert.deepEqual(ada.complaints, []);
  assert.deepEqual(bela.complaints, []);
});

test("three tabs at three instances talk, and one instance is cut off and comes back", { timeout }, async (t) => {
  const addresses = ["--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0"];
  const unhurried = ["--cluster-timeout", "1m", "--cluster-hold", "1m", "--cluster-dead-after", "10m", "--drain-period", "0s"];
  const demo = await start(["demo", "--instances", "3", ...addresses, ...unhurried], ["demo", "gateway", "demo-1"], ["demo", "gateway", "demo-2"], ["demo", "gateway", "demo-3"]);
  t.after(() => demo.stop());
  const browser = await startBrowser(t);
  const tabs = [];
  for (const [n, name] of ["Ada", "Bela", "Chen"].entries()) {
    tabs.push(await tab(browser, `http://${demo.lines[`demo demo-${n + 1}`].app}`, name, n === 1 ? "dark" : "light"));
  }
  const [ada, bela, chen] = tabs;
  const messages = (who) => who.page.locator("#messages");
  const say = async (who, text) => {
    await who.page.getByLabel("Message", { exact: true }).fill(text);
    await who.page.keyboard.press("Enter");
  };
  const place = (who, name, state, user) => who.page.locator(`#places li[data-state=${state}]`).filter({ hasText: name }).filter({ hasText: user });

  // Who is where, and all hear each other.
  await place(ada, "demo-1", "here", "Ada").waitFor();
  await place(ada, "demo-2", "connected", "Bela").waitFor();
  await place(ada, "demo-3", "connected", "Chen").waitFor();
  await place(bela, "demo-2", "here", "Bela").waitFor();
  assert.equal(await ada.page.getByRole("link", { name: "demo-2" }).getAttribute("href"), `http://localhost:${new URL(bela.page.url()).port}`);
  await say(bela, "Hello from the second");
  for (const who of tabs) await messages(who).getByText("Hello from the second").waitFor();
  await bela.page.locator("#answer").getByText('{"code":0,"message":"success"}').waitFor();
  await picture(ada.page, "instances");

  // One is cut off: the others do not reach it, and a send says so.
  await ada.page.getByRole("button", { name: "Cut demo-2 off" }).click();
  await place(ada, "demo-2", "missing", "nobody that is known of").waitFor();
  await place(bela, "demo-1", "missing", "nobody that is known of").waitFor();
  await bela.page.getByText("this page, cut off").waitFor();
  await say(ada, "Bela cannot hear this");
  await messages(chen).getByText("Bela cannot hear this").waitFor();
  await ada.page.locator("#answer").getByText(/"code":502.*"missing":\["demo-2"/).waitFor();
  assert.equal(await messages(bela).getByText("Bela cannot hear this").count(), 0);
  await picture(ada.page, "cut");
  await picture(bela.page, "cut-off");
  await ada.page.setViewportSize({ width: 390, height: 844 });
  await picture(ada.page, "instances-narrow");

  // It comes back, and hears what was held for it.
  await ada.page.getByRole("button", { name: "Join demo-2 again" }).click();
  await place(ada, "demo-2", "connected", "Bela").waitFor();
  await messages(bela).getByText("Bela cannot hear this").waitFor();
  await say(bela, "Back again");
  for (const who of tabs) await messages(who).getByText("Back again").waitFor();

  // A line is cut: the tab comes back at another instance, which carries it to its session.
  await ada.page.getByRole("button", { name: "Cut the line" }).click();
  await ada.page.locator("#trial[data-result=whole]").waitFor();
  await ada.page.getByText("Connected as Ada · resumed").waitFor();
  for (const who of tabs) {
    await place(who, "demo-1", who === ada ? "here" : "connected", "Ada").waitFor();
    await place(who, "demo-2", who === bela ? "here" : "connected", "relays a client").waitFor();
  }
  await say(bela, "Carried to you");
  await messages(ada).getByText("Carried to you").waitFor();
  await picture(ada.page, "carried");

  for (const who of tabs) assert.deepEqual(who.complaints, []);
});

test("a demo that is alone shows no instances", { timeout }, async (t) => {
  const demo = await start(["demo", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0", "--drain-period", "0s"], "demo");
  t.after(() => demo.stop());
  const page = await (await startBrowser(t)).newPage();
  const looked = page.waitForResponse(/instances$/);
  await page.goto(`http://${demo.lines.demo.app}`);
  assert.deepEqual(await (await looked).json(), []);
  assert.equal(await page.locator("#instances").isVisible(), false);
});
