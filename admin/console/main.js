// The console: what it shows, and when it updates that.

import * as api from "./api.js";
import * as connections from "./connections.js";
import { $, say, setText } from "./dom.js";
import { clock } from "./format.js";
import * as groups from "./groups.js";
import * as instances from "./instances.js";
import * as overview from "./overview.js";
import * as send from "./send.js";
import * as tail from "./tail.js";

const slowest = 10_000; // ms between attempts while the gateway does not answer

let timer;
let busy = false;
let failures = 0;
let open = false;
let answered; // when the gateway last answered, ms

function showState(state, text) {
  $("state").dataset.state = state;
  setText($("state"), text);
}

// update asks the gateway now and then again later. A hidden page asks nothing.
async function update() {
  clearTimeout(timer);
  if (busy || document.hidden) return;
  busy = true;
  try {
    const { ready, why, app, status } = await overview.refresh();
    instances.refresh(status);
    failures = 0;
    answered = Date.now();
    $("console").classList.remove("stale");
    const wrong = [ready ? "" : `Not ready: ${why}`, app.headline ?? ""].filter(Boolean);
    showState(wrong.length ? "bad" : "good", wrong.join("; ") || "Ready");
    if (open) connections.age(overview.latest());
    else show();
  } catch (e) {
    if (e instanceof api.TokenError) return demand();
    failures++;
    const what = e instanceof api.StatusError ? e.message : "No answer from the gateway";
    $("console").classList.add("stale");
    showState("bad", answered ? `${what}; what you see is of ${clock(answered)}` : what);
  } finally {
    busy = false;
  }
  timer = setTimeout(update, Math.min(overview.period * 1000 * 2 ** Math.min(failures, 3), slowest));
}

function show() {
  open = true;
  $("gate").hidden = true;
  $("console").hidden = $("nav").hidden = false;
  connections.refresh();
  groups.refresh();
}

// demand asks for the token and forgets the one that was refused.
function demand() {
  say($("token-error"), api.hasToken() ? "The gateway does not take this token." : "", true);
  api.forgetToken();
  open = false;
  showState("waiting", "Token needed");
  $("console").hidden = $("nav").hidden = true;
  $("gate").hidden = false;
  $("token").focus();
}

$("token-form").onsubmit = (event) => {
  event.preventDefault();
  api.setToken($("token").value.trim());
  $("token").value = "";
  update();
};
$("config-box").ontoggle = async () => {
  if (!$("config-box").open) return;
  try {
    setText($("config"), await api.config());
  } catch (e) {
    setText($("config"), e.message);
  }
};
document.addEventListener("visibilitychange", update);
// If Enter is held down it must not confirm one dialog after the other.
document.addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter" && event.target.matches("button, dialog *")) event.preventDefault();
}, { capture: true });

overview.build();
send.build();
tail.build();
instances.build(() => {
  connections.refresh();
  groups.refresh();
  tail.again();
});
connections.build({ choose: send.choose, watch: tail.watch, groups: groups.of, turn: overview.turnover });
groups.build({ members: connections.members, choose: send.chooseGroup, watch: tail.watchGroup });
update();
