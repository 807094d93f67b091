// Options: times are milliseconds, sizes bytes.

export const defaults = Object.freeze({
  pingInterval: 30_000,
  pongTimeout: 10_000,
  checkTimeout: 5_000,
  connectTimeout: 20_000,
  closeTimeout: 5_000,
  backoffBase: 1_000,
  backoffMax: 30_000,
  restartSpread: 5_000,
  retryAfterMax: 300_000,
  stableAfter: 10_000,
  maxBufferedMessages: 1_000,
  maxBufferedBytes: 1_048_576,
  maxMessageBytes: 1_048_576,
});

const mustBePositive = new Set(["pingInterval", "pongTimeout", "checkTimeout", "connectTimeout"]);
export const longestTimer = 2 ** 31 - 1; // setTimeout takes a longer time for 1 ms
const others = new Set(["resume", "protocols", "binaryType", "WebSocket", "socketOptions", "signal", "retry", "random"]);

// complete checks what was given, and adds the defaults.
export function complete(given) {
  const options = { resume: false, protocols: [], binaryType: "arraybuffer", random: Math.random, ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    options[name] = value;
    if (others.has(name)) continue;
    if (!(name in defaults)) throw new TypeError(`unknown option ${JSON.stringify(name)}`);
    const least = mustBePositive.has(name) ? 1 : 0;
    if (typeof value !== "number" || !(value >= least && value <= longestTimer)) {
      throw new TypeError(`option ${name} must be a number from ${least} to ${longestTimer}, not ${String(value)}`);
    }
  }
  if (typeof options.resume !== "boolean") throw new TypeError(`option resume must be true or false, not ${String(options.resume)}`);
  if (options.resume && options.maxBufferedMessages < 1) throw new TypeError("option resume needs a buffer: maxBufferedMessages must be at least 1");
  options.WebSocket ??= globalThis.WebSocket;
  if (typeof options.WebSocket !== "function") {
    throw new TypeError("there is no WebSocket here: give option WebSocket, for example that of the package ws (Node has its own from 22 on)");
  }
  return options;
}

// address makes a URL for WebSocket of any way to write one: relative to the page,
// with http for ws and https for wss.
export function address(url) {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(absolute.protocol)) throw new TypeError(`${absolute.protocol} is not a protocol for WebSockets: use ws, wss, http or https`);
  absolute.hash = "";
  return absolute.href;
}
