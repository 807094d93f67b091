// Two people use the page at a URL, as it is here or in ../page.html: for the test in ..
import { chromium } from "playwright-core";

const [url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
});
try {
  const [ada, bob] = [await enter("ada"), await enter("bob")];
  await send(ada, "join", "tea");
  await hears(ada, "joined: tea");
  await send(bob, "join", "tea");
  await hears(bob, "joined: tea");
  await hears(ada, "came: tea | bob");
  await send(ada, "say", "hello <b>Bob</b>");
  for (const page of [ada, bob]) await hears(page, "said: tea | ada | hello <b>Bob</b>");
  await bob.context().close();
  await hears(ada, "gone: bob");
  console.log("ok");
} finally {
  await browser.close();
}

// enter is somebody in a browser of his own, who has logged in.
async function enter(user) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(300_000);
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(url);
  await send(page, "login", user);
  await hears(page, `welcome: ${user}`);
  return page;
}

async function send(page, form, text) {
  await page.locator(`#${form} input`).fill(text);
  await page.locator(`#${form} button`).click();
}

async function hears(page, line) {
  await page.locator("#heard li").getByText(line, { exact: true }).waitFor();
}
