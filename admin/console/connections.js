// The list of connections: search, pages, and what one can do to a connection.

import * as api from "./api.js";
import { $, ask, element, say } from "./dom.js";
import { clock, date, number } from "./format.js";
import { clustered } from "./instances.js";
import { pager } from "./pager.js";
import { keys, rove } from "./rove.js";

const limit = 50;
let query = {};
let taken; // the counts of opened and closed connections when the page was made
let turnover; // returns these counts
let actions; // what a row's buttons do
let begin; // shows the first page

// build wires the section. choose gets the connection to send to, watch the one to follow,
// groups the one whose groups to list; turn resolves to how many connections have opened
// and closed since the start.
export function build({ choose, watch, groups, turn }) {
  [actions, turnover] = [{ choose, watch, groups }, turn];
  begin = pager({ first: $("first"), next: $("next"), reload: $("reload") }, find, show, (e) => say($("list-status"), e.message, true));
  $("search").onsubmit = (event) => {
    event.preventDefault();
    query = read();
    begin();
  };
  $("close-user").onclick = () => confirmClose({ users: [query.user] }, `All connections of ${query.user}`, begin);
  $("close-remote").onclick = () => confirmClose({ remote: query.remote }, `All connections from ${query.remote}`, begin);
  $("close-group").onclick = () => confirmClose({ groups: [query.group] }, `All connections in ${query.group}`, begin);
  keys($("list"));
}

// refresh shows the first page.
export const refresh = () => begin();

// members shows the connections in a group.
export function members(group) {
  $("search-by").value = "group";
  $("search-text").value = group;
  query = read();
  $("connections").scrollIntoView();
  $("connections").focus();
  return begin();
}

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
  return { [by]: by === "id" || by === "remote" || by === "older" ? text.trim() : text };
}

async function find(cursor) {
  $("close-user").hidden = query.user === undefined;
  $("close-group").hidden = query.group === undefined;
  $("close-remote").hidden = query.remote === undefined;
  const before = await turnover();
  if (query.id === undefined) return { ...(await api.page({ ...query, cursor, limit })), before };
  const conn = await api.get(query.id);
  return { conns: conn ? [conn] : [], before };
}

function show({ conns, cursor, before, missing }, page) {
  $("list").replaceChildren(...conns.map(row));
  if (conns.length === 0) $("list").append(nobody());
  rove($("list"));
  const which = query.user !== undefined ? ` of ${query.user || "the empty user name"}` : query.group !== undefined ? ` in ${query.group}` : "";
  say($("list-status"), `${number(conns.length)} ${conns.length === 1 ? "connection" : "connections"}${which}, page ${page}${cursor ? "; there are more" : ""}${api.without(missing)}, as of ${clock(Date.now())}`);
  taken = clustered() ? undefined : before; // the figures are of one gateway alone
  age(before);
}

const nobody = () => element("tr", {}, element("td", { colSpan: 6, className: "empty", textContent: "No connection" }));

function row(c) {
  const name = c.name || "(none)";
  const button = (text, act) => element("button", { type: "button", textContent: text, onclick: act, "aria-label": `${text} ${name} ${c.id}` });
  const cell = (label, textContent, className = "") => element("td", { textContent, className, title: textContent, "data-label": label });
  const tr = element("tr", {},
    cell("User", name, "long"), cell("Connection", c.id, "code"), cell("Since", date(c.connectedAt) + (c.away ? ", away" : "")), cell("Address", c.remoteAddr), cell("User agent", c.userAgent, "long"),
    element("td", {}, element("div", { className: "row" },
      button("Send", () => actions.choose(c.id)),
      button("Watch", () => actions.watch(c.id)),
      button("Groups", () => actions.groups(c.id)),
      button("Close", () => confirmClose({ conns: [c.id] }, `${name}, ${c.id}`, () => remove(tr))))));
  if (c.meta !== undefined) {
    const meta = JSON.stringify(c.meta);
    tr.children[1].append(element("div", { className: "hint", textContent: `Metadata: ${meta}`, title: meta }));
  }
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
