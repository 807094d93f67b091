// Compiled, never run: what must be accepted, and behind each @ts-expect-error what must not.

import { Client, defaults, type Data, type End, type State } from "ws-gateway-client";
import { useClient } from "ws-gateway-client/react";

const stop = new AbortController();
const client = new Client("wss://example.org/ws", {
  WebSocket,
  protocols: ["chat"],
  pingInterval: defaults.pingInterval,
  signal: stop.signal,
  retry: async (end: End) => (end.code === 4001 ? false : end.retryAfter),
});
new Client(async () => new URL("https://example.org/ws"));
new Client("/ws", { retry: () => {} });
new Client("/ws", { resume: true });

client.addEventListener("open", (event) => event.failures.toFixed());
client.addEventListener("message", (event) => JSON.parse(event.data));
client.addEventListener("reconnecting", ({ code, status, delay, opened }) => [code, status?.toFixed(), delay, !opened]);
client.addEventListener("open", (event) => event.resumed || client.sendEvent("join"));
client.addEventListener("lost", ({ unsent, uncertain }) => unsent.slice(uncertain).map((data: Data) => client.send(data)));
client.addEventListener("close", ({ code, unsent, uncertain }) => unsent.map((data: Data, n) => [code, data, n < uncertain]));
client.addEventListener("state", (event) => {
  const state: State = event.state;
  return state;
}, { once: true });

const taken: boolean = client.send("text") && client.send(new Uint8Array(1)) && client.send(new Blob([])) && client.sendEvent("hello");
client.sendEvent("move", { x: taken });
client.check();
client.close();
client.close(4000, "enough");

const hook = useClient("/ws", { resume: true }, { message: (event) => JSON.parse(event.data), lost: ({ uncertain }) => uncertain.toFixed() });
const sent: boolean | undefined = hook.client?.send(hook.state);
useClient(client.state);

// @ts-expect-error: there is none before the component is mounted
hook.client.close();
// @ts-expect-error: no such event
useClient("/ws", {}, { closed: () => sent });
// @ts-expect-error: an object must be made JSON first
client.send({ event: "hello" });
// @ts-expect-error: no such option
new Client("/ws", { pingIntervall: 1 });
// @ts-expect-error: yes or no
new Client("/ws", { resume: "always" });
// @ts-expect-error: times are numbers
new Client("/ws", { pingInterval: "30s" });
// @ts-expect-error: read only
client.state = "open";
// @ts-expect-error: close has no delay
client.addEventListener("close", (event) => event.delay);
// @ts-expect-error: no such state
client.addEventListener("state", (event) => event.state === "offline");
