// The live tail: a stream of JSON lines. It is read with fetch, because an EventSource cannot
// send a token.

import * as api from "./api.js";
import { $, element, say, setText } from "./dom.js";
import { clock, number } from "./format.js";

const kept = 200; // lines
let stop; // ends the stream that is open
let seen = 0;
let dropped = 0;

// build wires the section.
export function build() {
  $("tail-form").onsubmit = (event) => {
    event.preventDefault();
    if (stop) stop();
    else follow();
  };
  $("tail-clear").onclick = () => {
    $("tail").replaceChildren();
    seen = dropped = 0;
    if (stop) count();
  };
}

// watch follows one connection.
export const watch = (id) => watchOnly("tail-conn", id);

// watchGroup follows whoever is in a group.
export const watchGroup = (name) => watchOnly("tail-group", name);

// again follows anew if a stream is open: another scope was chosen.
export function again() {
  if (!stop) return;
  stop();
  follow();
}

function watchOnly(field, value) {
  if (stop) stop();
  for (const id of ["tail-user", "tail-conn", "tail-group"]) $(id).value = id === field ? value : "";
  $("events").scrollIntoView();
  $("tail-toggle").focus();
  follow();
}

function query() {
  const q = new URLSearchParams({ rate: $("tail-rate").value });
  if ($("tail-user").value) q.set("user", $("tail-user").value);
  if ($("tail-conn").value.trim()) q.set("conn_id", $("tail-conn").value.trim());
  if ($("tail-group").value) q.set("group", $("tail-group").value);
  for (const box of $("tail-form").querySelectorAll("[name=action]:checked")) q.append("action", box.value);
  if (!q.has("action")) throw new Error("Choose at least one kind of event.");
  if ($("tail-payload").checked) q.set("payload", "1");
  api.within(q);
  return q;
}

async function follow() {
  const abort = new AbortController();
  const end = () => abort.abort();
  let how = "Stopped.";
  let failed = false;
  seen = dropped = 0;
  try {
    const q = query();
    stop = end;
    setText($("tail-toggle"), "Stop");
    say($("tail-status"), "Watching");
    const response = await api.request(`/tapr/ws/conn/events?${q}`, { signal: abort.signal });
    if (!response.headers.get("Content-Type").includes("ndjson")) throw new Error((await response.json()).message);
    for await (const lines of batches(response.body)) show(lines);
    how = "The gateway ended the stream.";
  } catch (e) {
    if (!abort.signal.aborted) [how, failed] = [e.message, true];
  }
  if (stop === end || stop === undefined) {
    stop = undefined;
    setText($("tail-toggle"), "Start");
    say($("tail-status"), how, failed);
  }
}

// batches yields the parsed lines of what arrived together.
async function* batches(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield lines.map(event);
  }
}

// event parses a line. JSON data is kept as it stands in the line, where it is the last
// member: parsing would drop digits of long numbers.
function event(line) {
  const e = JSON.parse(line);
  if ("data" in e && !e.encoding) e.data = line.slice(line.indexOf(member) + member.length, -1);
  return e;
}

const member = ',"data":';

function show(events) {
  const items = [];
  for (const e of events) {
    if (e.dropped) dropped += e.dropped;
    else if (e.conn_id) seen++;
    if (e.action !== "heartbeat") items.unshift(item(e));
  }
  $("tail").prepend(...items);
  while ($("tail").children.length > kept) $("tail").lastChild.remove();
  count();
}

function item(e) {
  if (e.dropped) return element("li", { className: "dropped", textContent: `${number(e.dropped)} left out` });
  if (e.missing) return element("li", { className: "dropped", textContent: e.missing.length ? `not reached: ${e.missing.join(", ")}` : "all gateways are reached again" });
  const what = {
    open: () => `from ${e.remote_addr}`,
    close: () => `${e.code} ${e.reason} by ${e.initiator}`,
  }[e.action] ?? (() => `${number(e.size)} B`);
  const li = element("li", {}, `${clock(e.time)} `, element("b", { className: e.action, textContent: e.action }), ` ${e.user_name || "(none)"} ${e.conn_id}${e.instance ? ` at ${e.instance}` : ""} ${what()}`);
  if ("data" in e) {
    li.append(element("code", { textContent: e.data + (e.truncated ? " …" : "") + (e.encoding === "base64" ? " (base64)" : "") }));
  }
  return li;
}

// count says in one line how many events the list has. Screen readers announce it only if it
// changes in kind.
function count() {
  $("tail-toggle").title = `${number(seen)} events, ${number(dropped)} left out`;
  say($("tail-status"), dropped ? "Watching; more happens than the rate lets through" : "Watching");
}
