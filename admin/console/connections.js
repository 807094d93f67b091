// The list of connections: search, pages, and what one can do to a connection.

import * as api from "./api.js";
import { $, ask, element, say } from "./dom.js";
import { clock, date, number } from "./format.js";
import { keys, rove } from "./rove.js";

const limit = 50;
let query = {};
let from; // cursor of the page that is shown
let next; // cursor of the page after it
let shown = 0; // pages, up to this one
let taken; // the counts of opened and closed connections when the page was made
let turnover; // returns these counts
let actions; // what a row's buttons do

// build wires the section. choose gets the connection to send to, watch the one to follow;
// turn resolves to how many connections have opened and closed since the start.
export function build({ choose, watch, turn }) {
  [actions, turnover] = [{ choose, watch }, turn];
  $("search").onsubmit = (event) => {
    event.preventDefault();
    query = read();
    load(undefined, 1);
  };
  $("first").onclick = () => load(undefined, 1);
  $("next").onclick = () => load(next, shown + 1);
  $("reload").onclick = () => load(from, shown);
  $("close-user").onclick = () => confirmClose({ users: [query.user] }, `All connections of ${query.user}`, () => load(undefined, 1));
  keys($("list"));
}

// refresh shows the first page.
export const refresh = () => load(undefined, 1);

// age shows what has changed since the page was made; now is turnover's answer.
export function age(now) {
  let text = "";
  if (taken && now.started !== taken.started) text = "The gateway was started anew since: none of these connections is left.";
  else if (taken) {
    const [opened, closed] = [now.opened - taken.opened, now.closed - taken.closed];
    if (opened || closed) text = `Not up to date: since then ${number(opened)} opened and ${number(closed)} closed.`;
  }
  $("list-age").hidden = text === "";
  say($("list-age"), text);
}

function read() {
  const text = $("search-text").value;
  const by = $("search-by").value;
  if (text === "") return {};
  return { [by]: by === "user" || by === "prefix" ? text : text.trim() };
}

async function load(cursor, page) {
  try {
    const before = await turnover();
    const found = await find(cursor);
    [from, next, shown, taken] = [cursor, found.cursor, page, before];
    show(found.conns);
    age(before);
  } catch (e) {
    say($("list-status"), e.message, true);
  }
  if (!next && document.activeElement === $("next")) $("first").focus(); // a disabled button loses the focus
  $("next").disabled = !next;
  $("close-user").hidden = query.user === undefined;
}

function show(conns) {
  $("list").replaceChildren(...conns.map(row));
  if (conns.length === 0) $("list").append(nobody());
  rove($("list"));
  const which = query.user !== undefined ? ` of ${query.user || "the empty user name"}` : "";
  say($("list-status"), `${number(conns.length)} ${conns.length === 1 ? "connection" : "connections"}${which}, page ${shown}${next ? "; there are more" : ""}, as of ${clock(Date.now())}`);
}

const nobody = () => element("tr", {}, element("td", { colSpan: 6, className: "empty", textContent: "No connection" }));

async function find(cursor) {
  if (query.id === undefined) return api.page({ ...query, cursor, limit });
  const conn = await api.get(query.id);
  return { conns: conn ? [conn] : [] };
}

function row(c) {
  const name = c.name || "(none)";
  const button = (text, act) => element("button", { type: "button", textContent: text, onclick: act, "aria-label": `${text} ${name} ${c.id}` });
  const cell = (label, textContent, className = "") => element("td", { textContent, className, title: textContent, "data-label": label });
  const tr = element("tr", {},
    cell("User", name, "long"), cell("Connection", c.id, "code"), cell("Since", date(c.connectedAt)), cell("Address", c.remoteAddr), cell("User agent", c.userAgent, "long"),
    element("td", {}, element("div", { className: "row" },
      button("Send", () => actions.choose(c.id)),
      button("Watch", () => actions.watch(c.id)),
      button("Close", () => confirmClose({ conns: [c.id] }, `${name}, ${c.id}`, () => remove(tr))))));
  return tr;
}

// remove removes a row and moves the focus to the same button in the next row.
function remove(tr) {
  const beside = tr.nextElementSibling ?? tr.previousElementSibling;
  tr.remove();
  if (!beside) $("list").append(nobody());
  rove($("list"), beside?.querySelector("button:last-child"));
  (beside?.querySelector("button:last-child") ?? $("search-text")).focus();
}

function confirmClose(target, what, done) {
  $("close-what").textContent = what;
  say($("close-error"), "");
  ask($("close-dialog"), async () => {
    await api.close(target, Number($("close-code").value), $("close-reason").value);
    say($("list-status"), `Closed: ${what}`);
  }, (e) => say($("close-error"), e.message, true), done);
}
