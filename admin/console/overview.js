// Figures and charts: two scrapes make a rate.

import * as api from "./api.js";
import { judge, showApp } from "./app.js";
import { Chart } from "./chart.js";
import { $, element, setText } from "./dom.js";
import { date, number, seconds, span } from "./format.js";
import { parse, quantile, rate, sum } from "./metrics.js";

const period = 2; // seconds
const kept = 150; // points: 5 minutes
const quantileOver = 5; // scrapes
const timeout = 10_000; // ms for an answer

const tiles = {};
const charts = {};
const scrapes = [];

export function build() {
  for (const name of ["App", "Connections", "Away", "Users", "Groups", "Memberships", "Messages in /s", "Frames out /s", "Callbacks /s", "Callback p95", "Waiting events"]) {
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

// refresh scrapes once, shows the figures and returns the state of gateway and app. It
// throws what api throws.
export async function refresh() {
  const signal = AbortSignal.timeout(timeout);
  const [text, status] = await Promise.all([api.metrics(signal), api.status(signal)]);
  const now = { at: performance.now(), families: parse(text), started: status.started };
  if (scrapes.at(-1)?.started !== now.started) scrapes.length = 0;
  scrapes.push(now);
  if (scrapes.length > quantileOver + 1) scrapes.shift();
  plot(now);
  return showStatus(status);
}

// turnover returns how many connections have opened and closed since the gateway's start.
export async function turnover() {
  const [text, status] = await Promise.all([api.metrics(), api.status()]);
  return counted(parse(text), status);
}

// latest is turnover at the last refresh.
export const latest = () => counted(scrapes.at(-1).families, scrapes.at(-1));

const counted = (families, { started }) => ({ started, opened: sum(families, "upgraded_total"), closed: sum(families, "closed_total") });

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
  setText(tiles.Away, number(gauge("connections_away")));
  setText(tiles.Users, number(gauge("users")));
  setText(tiles.Groups, number(gauge("groups")));
  setText(tiles.Memberships, number(gauge("group_memberships")));
  setText(tiles["Messages in /s"], number(messages));
  setText(tiles["Frames out /s"], number(sent));
  setText(tiles["Callbacks /s"], number(delivered));
  setText(tiles["Callback p95"], seconds(latency[1]));
  setText(tiles["Waiting events"], number(gauge("callback_queue_events")));
}

function showStatus(s) {
  const now = Date.parse(s.time);
  setText($("about"), `Version ${s.version}, ${s.go}, started ${date(s.started)}, ${span(now - Date.parse(s.started))} ago.`);
  const app = judge(s, scrapes.at(-1).families);
  setText(tiles.App, app.word);
  tiles.App.dataset.state = app.state;
  showApp(app);
  return { ready: s.ready, why: s.why, app, status: s };
}

export { period };
