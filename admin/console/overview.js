// Figures and charts: two scrapes make a rate.

import * as api from "./api.js";
import { Chart } from "./chart.js";
import { $, element, setText } from "./dom.js";
import { clock, date, number, seconds, span } from "./format.js";
import { parse, quantile, rate, sum } from "./metrics.js";

const period = 2; // seconds
const kept = 150; // points: 5 minutes
const window = 5; // scrapes over which a quantile is taken
const patience = 10_000; // ms for an answer

const tiles = {};
const charts = {};
const scrapes = [];

export function build() {
  for (const name of ["Connections", "Users", "Messages in /s", "Frames out /s", "Callbacks /s", "Callback p95", "Waiting events", "Up"]) {
    tiles[name] = element("dd", { textContent: "–" });
    $("tiles").append(element("div", {}, element("dt", { textContent: name }), tiles[name]));
  }
  const chart = (key, title, names, format) => {
    charts[key] = new Chart(title, names, format, kept, period);
    $("charts").append(charts[key].element);
  };
  chart("connections", "Connections", ["open"], number);
  chart("messages", "Messages a second", ["in", "out"], number);
  chart("callbacks", "Callbacks a second", ["delivered", "failed", "retried"], number);
  chart("latency", "Callback time", ["p50", "p95", "p99"], seconds);
  chart("queue", "Events waiting for the app", ["waiting", "in flight"], number);
  chart("loops", "Event loop turn", ["p50", "p99"], seconds);
}

// refresh scrapes once and shows what it says; it throws as api does.
export async function refresh() {
  const signal = AbortSignal.timeout(patience);
  const [text, status] = await Promise.all([api.metrics(signal), api.status(signal)]);
  const now = { at: performance.now(), families: parse(text), started: status.started };
  if (scrapes.at(-1)?.started !== now.started) scrapes.length = 0;
  scrapes.push(now);
  if (scrapes.length > window + 1) scrapes.shift();
  plot(now);
  showStatus(status);
  return status;
}

function plot(now) {
  const before = scrapes.at(-2) ?? now;
  const first = scrapes.length > 1;
  const per = (name, want) => (first ? rate(before, now, name, want) : undefined);
  const time = (q, name) => quantile(q, scrapes[0], now, name);
  const gauge = (name) => sum(now.families, name);
  const delivered = per("callbacks_delivered_total");
  const messages = per("received_messages_total");
  const sent = per("sent_frames_total");
  const latency = [0.5, 0.95, 0.99].map((q) => time(q, "callback_duration_seconds"));

  charts.connections.add(gauge("connections"));
  charts.messages.add(messages, sent);
  charts.callbacks.add(delivered, per("callbacks_failed_total"), per("callback_retries_total"));
  charts.latency.add(...latency);
  charts.queue.add(gauge("callback_queue_events"), gauge("callbacks_in_flight"));
  charts.loops.add(time(0.5, "loop_turn_duration_seconds"), time(0.99, "loop_turn_duration_seconds"));
  for (const c of Object.values(charts)) c.draw();

  setText(tiles.Connections, number(gauge("connections")));
  setText(tiles.Users, number(gauge("users")));
  setText(tiles["Messages in /s"], number(messages));
  setText(tiles["Frames out /s"], number(sent));
  setText(tiles["Callbacks /s"], number(delivered));
  setText(tiles["Callback p95"], seconds(latency[1]));
  setText(tiles["Waiting events"], number(gauge("callback_queue_events")));
}

function showStatus(s) {
  const now = Date.parse(s.time);
  setText(tiles.Up, span(now - Date.parse(s.started)));
  setText($("about"), `Version ${s.version}, ${s.go}, started ${date(s.started)}.`);
  if (!s.app) {
    showApp("unknown", "None: this gateway only pushes", "Started with --no-callback.", []);
    return;
  }
  const { down, since, url, failures } = s.app;
  const heard = scrapes.at(-1).families.get("callback_outcomes_total")
    ?.some(({ labels, value }) => value > 0 && ["delivered", "rejected", "unavailable"].includes(labels.outcome));
  let text = "Not called yet";
  if (down) text = `Down for ${span(now - Date.parse(since))}, since ${date(since)}`;
  else if (since) text = `Up again for ${span(now - Date.parse(since))}, since ${date(since)}`;
  else if (heard) text = "Up, no outage since the start";
  const outages = sum(scrapes.at(-1).families, "app_outages_total");
  const oldest = sum(scrapes.at(-1).families, "callback_oldest_event_seconds");
  const detail = `Expected at ${url}. Outages: ${number(outages)}. ${oldest ? `The oldest waiting event is ${seconds(oldest)} old.` : "No event waits."}`;
  showApp(down ? "bad" : heard || since ? "good" : "unknown", text, detail, failures);
}

function showApp(state, text, detail, failures) {
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

export { period };
