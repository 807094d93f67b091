// The list of connections: search, pages, and what can be done to one.

import * as api from "./api.js";
import { $, ask, element, say } from "./dom.js";
import { date, number } from "./format.js";

const limit = 50;
let query = {};
let cursor; // of the next page
let shown = 0; // pages

// build wires the section; choose names what to send to, watch whom to follow.
export function build({ choose, watch }) {
  const rows = (conns) => conns.map((c) => row(c, choose, watch));
  const load = async (next) => {
    try {
      const found = await find(next ? cursor : undefined);
      cursor = found.cursor;
      shown = next ? shown + 1 : 1;
      $("list").replaceChildren(...rows(found.conns));
      if (found.conns.length === 0) $("list").append(element("tr", {}, element("td", { colSpan: 6, className: "empty", textContent: "No connection" })));
      const which = query.user !== undefined ? ` of ${query.user || "the empty user name"}` : "";
      say($("list-status"), `${number(found.conns.length)} ${found.conns.length === 1 ? "connection" : "connections"}${which}, page ${shown}${cursor ? "; there are more" : ""}`);
    } catch (e) {
      say($("list-status"), e.message, true);
    }
    $("next").disabled = !cursor;
    $("close-user").hidden = query.user === undefined;
  };
  $("search").onsubmit = (event) => {
    event.preventDefault();
    const text = $("search-text").value;
    query = text === "" ? {} : $("search-by").value === "user" ? { user: text } : { id: text.trim() };
    load(false);
  };
  $("first").onclick = () => load(false);
  $("next").onclick = () => load(true);
  $("close-user").onclick = () => confirmClose({ users: [query.user] }, `All connections of ${query.user}`, () => load(false));
  reload = () => load(false);
}

let reload;

// refresh shows the first page.
export const refresh = () => reload();

async function find(from) {
  if (query.id === undefined) return api.page({ ...query, cursor: from, limit });
  const conn = await api.get(query.id);
  return { conns: conn ? [conn] : [] };
}

function row(c, choose, watch) {
  const name = c.name || "(none)";
  const button = (text, act) => element("button", { type: "button", textContent: text, onclick: act, "aria-label": `${text} ${name} ${c.id}` });
  const cell = (label, textContent, className = "") => element("td", { textContent, className, title: textContent, "data-label": label });
  const tr = element("tr", {},
    cell("User", name, "long"), cell("Connection", c.id, "code"), cell("Since", date(c.connectedAt)), cell("Address", c.remoteAddr), cell("User agent", c.userAgent, "long"),
    element("td", {}, element("div", { className: "row" },
      button("Send", () => choose(c.id)),
      button("Watch", () => watch(c.id)),
      button("Close", () => confirmClose({ conns: [c.id] }, `${name}, ${c.id}`, () => tr.remove())))));
  return tr;
}

function confirmClose(target, what, done) {
  $("close-what").textContent = what;
  say($("close-error"), "");
  ask($("close-dialog"), async () => {
    const reason = $("close-reason").value;
    await api.close(target, Number($("close-code").value), reason);
    say($("list-status"), `Closed: ${what}`);
    done();
  }, (e) => say($("close-error"), e.message, true));
}
