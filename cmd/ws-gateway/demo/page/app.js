// The demo's page: a WebSocket client as any app's front end has one, and a view
// of what the gateway tells the app. Text reaches the page by textContent alone.

import { Client } from "./client/index.js";

const callbacksShown = 100;
const messagesShown = 500;

const $ = (id) => document.getElementById(id);

function element(tag, className, text = "") {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  return e;
}

// --- the connection ---------------------------------------------------------

let client = null; // null while nobody has joined
let me = "";
let conn = ""; // the connection's id
const line = Math.random().toString(36).slice(2); // what the app's ingress calls this tab's connections
const rooms = new Set(); // that this tab is in
let others = []; // users who are online, without this one

function connect() {
  showState("waiting", "Connecting …");
  const url = new URL("ws", location.href);
  url.searchParams.set("user", me);
  url.searchParams.set("line", line);
  const mine = new Client(url, { resume: true, backoffBase: 500, backoffMax: 2_000, restartSpread: 500 });
  client = mine;
  const on = (type, listener) => mine.addEventListener(type, (event) => client === mine && listener(event));
  on("open", ({ resumed }) => showState("open", `Connected as ${me}${resumed ? " · resumed" : ""}`));
  on("message", ({ data }) => receive(data));
  on("reconnecting", ({ code, reason, delay }) =>
    showState("waiting", `Connection lost (${code}${reason ? " " + reason : ""}): trying again in ${(delay / 1000).toFixed(1)} s`));
  on("lost", ({ unsent }) => {
    note(`The session could not be resumed; ${unsent.length} messages of yours may be lost`);
    endTrial("broken", "The session could not be resumed");
  });
  on("close", ({ code, reason }) => leave(`Closed with ${code}: ${reason}`));
}

function join(name) {
  me = name;
  sessionStorage.setItem("name", name);
  $("join").hidden = true;
  $("room").hidden = false;
  $("text").focus();
  connect();
}

function leave(why) {
  const ended = client;
  client = null;
  endTrial("broken", "The connection was closed");
  rooms.clear();
  showRooms();
  ended?.close(1000, "left");
  showState("idle", why);
  $("room").hidden = true;
  $("join").hidden = false;
  $("name").focus();
}

function send(event, data) {
  return client?.sendEvent(event, data) ?? false;
}

function receive(text) {
  let m;
  try {
    m = JSON.parse(text);
  } catch {
    note(text);
    return;
  }
  switch (m?.event) {
    case "welcome": welcome(m.data); break;
    case "joined": roomChanged(m.data, "joined"); break;
    case "left": roomChanged(m.data, "left"); break;
    case "error": note(String(m.data)); break;
    case "online": refreshOnline(); break;
    case "chat": said(m.data); break;
    case "number": count("down", m.data.n); break;
    case "counted": count("up", m.data.n); break;
    default: note(text);
  }
}

// welcome begins a connection. Rooms belong to connections: who comes back joins again.
function welcome(data) {
  conn = data.conn_id;
  note(`You are ${data.user}, connection ${conn}`);
  for (const room of rooms) send("join", { room });
}

function showState(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

// --- the chat ---------------------------------------------------------------

function append(item) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > messagesShown) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function note(text) {
  append(element("li", "note", text));
}

function said(data) {
  const mine = data.from === me;
  const item = element("li", mine ? "mine" : "");
  const who = (mine ? "You" : String(data.from)) + (data.room ? ` in ${data.room}` : "") + (data.to ? ` to ${data.to === me ? "you" : data.to} alone` : "");
  item.append(element("div", "who", who), element("div", "text", String(data.text)));
  append(item);
}

$("join").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("name").value.trim();
  if (name) join(name);
});

$("compose").addEventListener("submit", (e) => {
  e.preventDefault();
  const text = $("text").value;
  const [kind, name] = split($("to").value);
  if (text.trim() && send("chat", { text, [kind]: name })) $("text").value = "";
});

$("leave").addEventListener("click", () => leave("Not connected"));

// --- rooms ------------------------------------------------------------------

// roomChanged shows that a member of a room came or went, which may be this tab.
function roomChanged(data, how) {
  const mine = data.conn_id === conn;
  note(`${mine ? "You" : data.user} ${how} ${data.room}`);
  if (!mine) return;
  if (how === "joined") rooms.add(data.room);
  else rooms.delete(data.room);
  showRooms();
}

function showRooms() {
  $("room-list").replaceChildren(...[...rooms].map(roomItem));
  showTargets();
}

function roomItem(room) {
  const item = element("li", "");
  const out = element("button", "", "Leave");
  out.type = "button";
  out.setAttribute("aria-label", `Leave the room ${room}`);
  out.addEventListener("click", () => {
    send("leave", { room });
    $("room-name").focus();
  });
  item.append(element("span", "", room), out);
  return item;
}

$("rooms").addEventListener("submit", (e) => {
  e.preventDefault();
  const room = $("room-name").value.trim();
  if (room && send("join", { room })) $("room-name").value = "";
});

// --- a line that is cut -----------------------------------------------------

const numbers = 20; // that the app sends meanwhile, and this tab
const numberEvery = 200;
let trial = null; // the numbers that have come: {down: from the app, up: back from it}

async function cutLine() {
  if (!client || trial) return;
  const own = { down: [], up: [] };
  trial = own;
  $("cut").disabled = true;
  showTrial();
  ask("cut-line", { method: "POST", body: new URLSearchParams({ line, conn_id: conn }) }).then((answer) => {
    if (trial === own && !answer?.ok) endTrial("broken", "The app could not cut the line");
  });
  for (let n = 1; n <= numbers && trial === own; n++) {
    send("number", { n });
    if (n === 5) refreshOnline(); // who is away shows there
    await new Promise((resolve) => setTimeout(resolve, numberEvery));
  }
}

function count(way, n) {
  if (!trial) return;
  trial[way].push(n);
  const { down, up } = trial;
  if ([down, up].some((row) => row.some((n, i) => n !== i + 1))) endTrial("broken", "Something was lost, doubled or out of order");
  else if (down.length + up.length === 2 * numbers) endTrial("whole", `Nothing was lost: ${numbers} numbers of the app and ${numbers} of yours have arrived, each once and in order`);
  else showTrial();
}

function showTrial() {
  $("trial").dataset.result = "";
  $("trial").textContent = `Line cut. ${trial.down.length} of ${numbers} numbers of the app and ${trial.up.length} of ${numbers} of yours have arrived so far`;
}

function endTrial(result, text) {
  if (!trial) return;
  const { down, up } = trial;
  trial = null;
  refreshOnline();
  $("cut").disabled = false;
  $("trial").dataset.result = result;
  $("trial").textContent = result === "whole" ? text : `${text}. ${down.length} of ${numbers} numbers of the app and ${up.length} of ${numbers} of yours have arrived`;
}

$("cut").addEventListener("click", cutLine);

// --- who is online ----------------------------------------------------------

// refreshOnline leaves the list as it is while the app cannot be reached: once it
// can, a callback or the online message asks again.
async function refreshOnline() {
  const response = await ask("online");
  if (response?.ok) showOnline(await response.json());
}

// ask fetches from the app; null means that the app is not there.
async function ask(path, init) {
  try {
    return await fetch(path, init);
  } catch {
    return null;
  }
}

function showOnline(users) {
  const conns = users.flatMap((u) => u.conns.map((c) => ({ user: u.name, id: c.id, agent: c.userAgent, away: c.away })));
  $("online").replaceChildren(...(conns.length ? conns.map(onlineItem) : [element("li", "empty", "Nobody yet")]));
  others = users.map((u) => u.name).filter((name) => name && name !== me);
  showTargets();
}

// showTargets offers whom a message can go to: everybody, a room, or a user.
function showTargets() {
  const to = $("to").value;
  const options = [...[...rooms].map((room) => new Option(`Room ${room}`, `room:${room}`)), ...others.map((name) => new Option(name, `to:${name}`))];
  $("to").replaceChildren(new Option("Everybody", "to:"), ...options);
  $("to").value = options.some((o) => o.value === to) ? to : "to:";
}

// split takes the value of an option apart: which member of a chat message it is, and
// what is in it.
function split(value) {
  const colon = value.indexOf(":");
  return [value.slice(0, colon), value.slice(colon + 1)];
}

function onlineItem(conn) {
  const item = element("li", "");
  item.title = conn.agent;
  const close = element("button", "", "Close");
  close.type = "button";
  close.setAttribute("aria-label", `Have the app close the connection of ${conn.user}`);
  close.addEventListener("click", () => ask("close", { method: "POST", body: new URLSearchParams({ conn_id: conn.id }) }));
  item.append(element("span", conn.user === me ? "user own" : "user", (conn.user || "(no name)") + (conn.away ? " (away)" : "")), element("code", "", conn.id.slice(-6)), close);
  return item;
}

// --- instances --------------------------------------------------------------

const lookEvery = 1_000;
const states = { here: "this page", connected: "connected", missing: "missing: not reached", gone: "not reached: counts as gone" };
let places = ""; // what is shown

// lookAround shows the instances, and goes on doing so if there are several.
async function lookAround() {
  const response = await ask("instances");
  const found = response?.ok ? await response.text() : places;
  if (found !== places) showPlaces(JSON.parse(found));
  places = found;
  if (!$("instances").hidden || !response?.ok) setTimeout(lookAround, lookEvery);
}

function showPlaces(all) {
  $("instances").hidden = all.length === 0;
  $("places").replaceChildren(...all.map(placeItem));
  if (all.length) refreshOnline();
}

function placeItem(place) {
  const item = element("li", "");
  item.dataset.state = place.state;
  item.dataset.cut = place.cut;
  const name = element(place.here ? "b" : "a", "", place.name);
  if (!place.here) Object.assign(name, { href: place.page, target: "_blank", rel: "noopener" });
  const button = element("button", "", place.cut ? "Join again" : "Cut off");
  button.type = "button";
  button.setAttribute("aria-label", place.cut ? `Join ${place.name} again` : `Cut ${place.name} off`);
  button.addEventListener("click", () => ask("cut", { method: "POST", body: new URLSearchParams({ instance: place.name, cut: !place.cut }) }));
  const relays = place.relays ? `, relays ${place.relays === 1 ? "a client" : `${place.relays} clients`}` : "";
  const how = states[place.state] + (place.here && place.cut ? ", cut off" : "") + relays;
  item.append(name, element("span", "how", how), button, element("span", "who", place.users.join(", ") || "nobody that is known of"));
  return item;
}

// --- the callbacks ----------------------------------------------------------

function showCallback(entry) {
  const { action, user_name: user, conn_id: id } = entry.body;
  const item = element("li", "");
  item.dataset.action = action;
  const line = element("div", "line");
  const time = new Date(entry.time);
  const stamp = element("time", "", time.toLocaleTimeString([], { hour12: false }) + "." + String(time.getMilliseconds()).padStart(3, "0"));
  stamp.dateTime = time.toISOString();
  line.append(element("span", "action", action), element("span", "user", user || "(no name)"), element("span", "id", id));
  if (Number(entry.attempt) > 1) line.append(element("span", "id", `attempt ${entry.attempt}`));
  line.append(stamp);
  item.append(line, element("pre", "", JSON.stringify(entry.body)));
  const list = $("callbacks");
  list.querySelector(".empty")?.remove();
  list.prepend(item);
  while (list.children.length > callbacksShown) list.lastChild.remove();
}

$("clear").addEventListener("click", () => $("callbacks").replaceChildren(element("li", "empty", "None since you cleared the list")));

const events = new EventSource("events");
events.onmessage = (e) => {
  const entry = JSON.parse(e.data);
  if (entry.answer) {
    $("answer").textContent = JSON.stringify(entry.answer);
    return;
  }
  showCallback(entry);
  if (entry.body.action !== "message") refreshOnline();
};

const names = ["Ada", "Bela", "Chen", "Dora", "Emre", "Fay", "Goro", "Hana", "Ivo", "Juno"];
$("name").value = sessionStorage.getItem("name") ?? names[Math.floor(Math.random() * names.length)];
$("name").select();
refreshOnline();
lookAround();
