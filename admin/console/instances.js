// The gateways that answer as one, and which of them the lists and events are about.

import { $, element, setText } from "./dom.js";
import { date, number } from "./format.js";
import { keys, rove } from "./rove.js";

const all = "cluster"; // the scope of all of them

let turn; // shows the lists anew
let several = false; // there is a cluster

// build wires the section. changed is called when another scope is chosen.
export function build(changed) {
  turn = changed;
  $("scope").onchange = () => turn();
  keys($("instance-list"));
}

// scope is what the API is asked about; undefined is all that there is.
export const scope = () => ($("scope").value === all ? undefined : $("scope").value);

// clustered reports whether others than the gateway that is asked may be shown.
export const clustered = () => several;

// refresh shows what the status says of the cluster, if there is one.
export function refresh({ cluster }) {
  several = Boolean(cluster);
  for (const id of ["instances", "instances-link", "scope-box"]) $(id).hidden = !cluster;
  if (!cluster) return;
  const missing = cluster.instances.filter((i) => i.silent).length;
  const text = !cluster.linked ? "NATS is not reached: only this gateway's connections are shown"
    : `${number(cluster.instances.length)} of ${cluster.app}${missing ? `, ${number(missing)} not heard` : ""}`;
  setText($("instances-status"), text);
  $("instances-status").classList.toggle("warn", !cluster.linked || missing > 0);
  choices(cluster.instances);
  rows(cluster.instances);
}

// choices offers the instances. One that is gone stays chosen, so that nothing else is
// shown under its name.
function choices(instances) {
  const chosen = $("scope").value;
  const known = [[all, "all gateways"], ...instances.map((i) => [i.id, name(i, instances)])];
  if (!known.some(([id]) => id === chosen)) known.push([chosen, `${$("scope").selectedOptions[0].textContent.replace(/ \(gone\)$/, "")} (gone)`]);
  const key = JSON.stringify(known);
  if ($("scope").dataset.key === key) return;
  $("scope").dataset.key = key;
  $("scope").replaceChildren(...known.map(([value, textContent]) => element("option", { value, textContent })));
  $("scope").value = chosen;
}

// name is an instance's name, with its id if another one has that name, too.
const name = (i, instances) => (instances.some((other) => other !== i && other.name === i.name) ? `${i.name} ${i.id}` : i.name);

function rows(instances) {
  const key = JSON.stringify(instances);
  if ($("instance-list").dataset.key === key) return;
  $("instance-list").dataset.key = key;
  const held = document.activeElement?.closest?.("#instance-list tr")?.dataset.id;
  $("instance-list").replaceChildren(...instances.map((i) => row(i, name(i, instances))));
  const again = held && $("instance-list").querySelector(`tr[data-id="${CSS.escape(held)}"] button`);
  rove($("instance-list"), again || undefined);
  again?.focus();
}

function row(i, shown) {
  const heard = i.self ? "asked by this page" : i.silent ? "not heard" : "heard";
  const state = i.draining && !i.silent ? "ends its connections" : heard;
  const cell = (label, textContent, className = "") => element("td", { textContent, className, title: textContent, "data-label": label });
  return element("tr", { "data-id": i.id },
    cell("Gateway", shown, "long"), cell("State", state, i.silent ? "bad" : ""), cell("Version", i.version, "long"),
    cell("Connections", number(i.connections)), cell("Users", number(i.users)), cell("Loops", number(i.loops)),
    cell("Lag", `${number(i.lag_ms)} ms`), cell("Since", date(i.started)),
    element("td", {}, element("div", { className: "row" }, element("button", {
      type: "button", textContent: "Show", "aria-label": `Show ${shown}`,
      onclick: () => {
        $("scope").value = i.id;
        turn();
        $("connections").scrollIntoView();
        $("connections").focus();
      },
    }))));
}
