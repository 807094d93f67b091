// The list of groups, with their sizes, and what one can do to a group.

import * as api from "./api.js";
import { $, element, say } from "./dom.js";
import { clock, number } from "./format.js";
import { pager } from "./pager.js";
import { keys, rove } from "./rove.js";

const limit = 50;
let query = {};
let actions; // what a row's buttons do
let begin; // shows the first page

// build wires the section. members gets the group whose connections to list, choose the
// one to send to, watch the one to follow.
export function build({ members, choose, watch }) {
  actions = { members, choose, watch };
  begin = pager({ first: $("groups-first"), next: $("groups-next"), reload: $("groups-reload") },
    (cursor) => api.groups({ ...query, cursor, limit }), show, (e) => say($("groups-status"), e.message, true));
  $("groups-of").onchange = () => {
    $("groups-whose-box").hidden = $("groups-of").value === "all";
  };
  $("groups-form").onsubmit = (event) => {
    event.preventDefault();
    query = read();
    begin();
  };
  keys($("group-list"));
}

// refresh shows the first page.
export const refresh = () => begin();

// of shows the groups that a connection is in.
export function of(id) {
  $("groups-of").value = "conn";
  $("groups-of").onchange();
  $("groups-whose").value = id;
  query = read();
  $("groups").scrollIntoView();
  $("groups").focus();
  return begin();
}

function read() {
  const whose = $("groups-whose").value;
  switch ($("groups-of").value) {
    case "user": return { user: whose };
    case "conn": return { conn: whose.trim() };
    default: return {};
  }
}

function show({ groups, cursor, missing }, page) {
  $("group-list").replaceChildren(...groups.map(row));
  if (groups.length === 0) $("group-list").append(element("tr", {}, element("td", { colSpan: 3, className: "empty", textContent: "No group" })));
  rove($("group-list"));
  const whose = query.user !== undefined ? ` of ${query.user || "the empty user name"}` : query.conn !== undefined ? " of this connection" : "";
  say($("groups-status"), `${number(groups.length)} ${groups.length === 1 ? "group" : "groups"}${whose}, page ${page}${cursor ? "; there are more" : ""}${api.without(missing)}, as of ${clock(Date.now())}`);
}

function row({ name, connections }) {
  const button = (text, act) => element("button", { type: "button", textContent: text, onclick: act, "aria-label": `${text} ${name}` });
  return element("tr", {},
    element("td", { className: "long", textContent: name, title: name, "data-label": "Group" }),
    element("td", { textContent: number(connections), "data-label": "Connections" }),
    element("td", {}, element("div", { className: "row" },
      button("Members", () => actions.members(name)),
      button("Send", () => actions.choose(name)),
      button("Watch", () => actions.watch(name)))));
}
