// Sending to one connection, one user, one group or everybody.

import * as api from "./api.js";
import { $, ask, say } from "./dom.js";
import { number } from "./format.js";

const form = $("send-form");

// build wires the section.
export function build() {
  form.onchange = () => {
    const to = form.elements.to.value;
    $("target-box").hidden = to === "all";
    $("target-label").textContent = { user: "User name", group: "Group name" }[to] ?? "Connection id";
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      const message = read();
      if (message.target.all) await confirmAll(message);
      else await deliver(message);
    } catch (e) {
      say($("send-result"), e.message, true);
    }
  };
}

// choose prepares a message to a connection.
export const choose = (id) => prepare("conn", id);

// chooseGroup prepares a message to a group.
export const chooseGroup = (name) => prepare("group", name);

function prepare(to, target) {
  form.elements.to.value = to;
  form.onchange();
  $("target").value = target;
  $("payload").focus();
  $("send").scrollIntoView();
}

function read() {
  const to = form.elements.to.value;
  const target = $("target").value;
  if (to === "conn" && !target.trim()) throw new Error("Name a connection.");
  if (to === "user" && !target) throw new Error("Name a user.");
  if (to === "group" && !target) throw new Error("Name a group.");
  const text = $("payload").value;
  const asJSON = form.elements.as.value === "json";
  if (asJSON) {
    try {
      JSON.parse(text);
    } catch (e) {
      throw new Error(`This is not JSON: ${e.message}`);
    }
  }
  const targets = { conn: { conn_id: target.trim() }, user: { users: [target] }, group: { groups: [target] }, all: { all: true } };
  return { target: targets[to], text, asJSON };
}

async function confirmAll(message) {
  const { connections: here, cluster } = await api.status();
  const connections = cluster ? cluster.instances.reduce((sum, i) => sum + i.connections, 0) : here;
  $("all-what").textContent = `This goes to all connections, ${number(connections)} now.`;
  ask($("all-dialog"), () => deliver(message), (e) => {
    $("all-dialog").close();
    say($("send-result"), e.message, true);
  });
}

async function deliver({ target, text, asJSON }) {
  const { matched, queued, slow } = await api.send(target, text, asJSON);
  const result = `Sent to ${number(queued)} of ${number(matched)} connections`;
  say($("send-result"), matched === 0 ? "Nobody there: no such connection, user or group" : slow ? `${result}; ${number(slow)} closed as too slow` : result, matched === 0);
}
