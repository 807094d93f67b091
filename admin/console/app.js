// What is known about the app: whether it takes its events, and which last ones it did not.

import { $, element, setText } from "./dom.js";
import { clock, date, number, seconds, span } from "./format.js";
import { sum } from "./metrics.js";

const answered = ["delivered", "rejected", "unavailable"]; // outcomes that an answer of the app has

// judge returns the app's state, a word for it, a headline if something is wrong, and two
// sentences that tell all of it.
export function judge(status, families) {
  if (!status.app) {
    return { state: "unknown", word: "None", text: "None: this gateway only pushes", detail: "Started with --no-callback.", failures: [] };
  }
  const { url, failures } = status.app;
  const outages = sum(families, "app_outages_total");
  const oldest = sum(families, "callback_oldest_event_seconds");
  const waits = oldest ? `The oldest waiting event is ${seconds(oldest)} old.` : "No event waits.";
  return { ...condition(status, families), detail: `Expected at ${url}. Outages: ${number(outages)}. ${waits}`, failures };
}

// troubles are the kinds of trouble, each with a word for the tile and one for the header.
const troubles = {
  unreachable: ["Down", "down"],
  silent: ["Silent", "does not answer"],
  failing: ["Failing", "fails"],
  refusing: ["Refusing", "refuses every client"],
};

function condition({ app: { down, since, trouble }, time }, families) {
  const lasting = (from) => `for ${span(Date.parse(time) - Date.parse(from))}, since ${date(from)}`;
  if (trouble) {
    const [word, what] = troubles[trouble.kind] ?? ["Trouble", "does not take events"];
    const figures = `${number(trouble.waiting)} events wait, ${number(trouble.given_up)} were given up.`;
    return { state: "bad", word, headline: `App ${what} since ${clock(trouble.since)}`, text: `${sentence(trouble.message)} ${word} ${lasting(trouble.since)}; ${figures} ${sentence(trouble.fix)}` };
  }
  if (down) return { state: "bad", word: "Down", headline: `App down since ${clock(since)}`, text: `Down ${lasting(since)}` };
  if (since) return { state: "good", word: "Up", text: `Up again ${lasting(since)}` };
  const heard = families.get("callback_outcomes_total")?.some(({ labels, value }) => value > 0 && answered.includes(labels.outcome));
  return heard ? { state: "good", word: "Up", text: "Up, no outage since the start" } : { state: "unknown", word: "Not called yet", text: "Not called yet" };
}

// sentence begins a text with a capital and ends it with a full stop.
const sentence = (s) => (s ? `${s[0].toUpperCase()}${s.slice(1)}.`.replace(/\.\.$/, ".") : "");

// showApp fills the app's card.
export function showApp({ state, text, detail, failures }) {
  $("app-state").dataset.state = state;
  setText($("app-state"), text);
  setText($("app-detail"), detail);
  $("failures-box").hidden = failures.length === 0;
  const key = failures.map((f) => f.request_id + f.time).join();
  if ($("failures").dataset.key === key) return;
  $("failures").dataset.key = key;
  const cell = (label, textContent, className = "") => element("td", { textContent, className, "data-label": label });
  $("failures").replaceChildren(...failures.map((f) => element("tr", {},
    cell("Time", clock(f.time)), cell("Event", f.action), cell("Reason", f.reason), cell("Status", f.status ? String(f.status) : "none"),
    cell("Attempts", String(f.attempts)), cell("Request id", f.request_id, "code"))));
}
