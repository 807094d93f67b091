// Sending to one connection, one user or everybody.

import * as api from "./api.js";
import { $, ask, say } from "./dom.js";
import { number } from "./format.js";

const form = $("send-form");

// build wires the section.
export function build() {
  form.onchange = () => {
    const to = form.elements.to.value;
    $("target-box").hidden = to === "all";
    $("target-label").textContent = to === "user" ? "User name" : "Connection id";
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
export function choose(id) {
  form.elements.to.value = "conn";
  form.onchange();
  $("target").value = id;
  $("payload").focus();
  $("send").scrollIntoView();
}

function read() {
  const to = form.elements.to.value;
  const target = $("target").value;
  if (to === "conn" && !target.trim()) throw new Error("Name a connection.");
  if (to === "user" && !target) throw new Error("Name a user.");
  const text = $("payload").value;
  const asJSON = form.elements.as.value === "json";
  if (asJSON) {
    try {
      JSON.parse(text);
    } catch (e) {
      throw new Error(`This is not JSON: ${e.message}`);
    }
  }
  const targets = { conn: { conn_id: target.trim() }, user: { users: [target] }, all: { all: true } };
  return { target: targets[to], text, asJSON };
}

async function confirmAll(message) {
  const { connections } = await api.status();
  $("all-what").textContent = `This goes to all connections, ${number(connections)} now.`;
  ask($("all-dialog"), () => deliver(message), (e) => {
    $("all-dialog").close();
    say($("send-result"), e.message, true);
  });
}

async function deliver({ target, text, asJSON }) {
  const { matched, queued, slow } = await api.send(target, text, asJSON);
  const result = `Sent to ${number(queued)} of ${number(matched)} connections`;
  say($("send-result"), matched === 0 ? "Nobody there: no such connection or user" : slow ? `${result}; ${number(slow)} closed as too slow` : result, matched === 0);
}
