// Whether to come back after a connection has ended, and when. Pure.

// After these the same client would be closed again: an ordinary end, and what the
// other side cannot take (protocol, type, UTF-8, size, extension).
const finalCodes = new Set([1000, 1002, 1003, 1007, 1009, 1010]);

// Answers to the handshake that the same handshake would get again. 404 and 426 are
// not among them: a proxy gives them while its routes change.
const finalStatuses = new Set([400, 401, 403, 410, 431]);

// Many clients get these in the same moment.
const restartCodes = new Set([1001, 1012, 1013]);
const restartStatuses = new Set([429, 503]);

// usual says whether to reconnect after end, unless the option retry says otherwise.
// 3000 to 4999 are the app's own: it has closed this connection on purpose.
export function usual(end) {
  if (end.status !== undefined) return !finalStatuses.has(end.status);
  return !finalCodes.has(end.code) && !(end.code >= 3000 && end.code <= 4999);
}

// wait is how long to wait: at least the time that the server asked for, and on top of it
// a random part of a window that doubles with each failure (full jitter). least and delay
// are milliseconds.
export function wait(end, options, random) {
  const restart = restartCodes.has(end.code) || restartStatuses.has(end.status);
  const doubled = Math.min(options.backoffMax, options.backoffBase * 2 ** Math.min(end.failures - 1, 30));
  const window = restart ? Math.max(doubled, options.restartSpread) : doubled;
  const least = Math.min(end.retryAfter ?? 0, options.retryAfterMax);
  return { least, delay: least + random() * window };
}

// parseRetryAfter reads seconds or an HTTP date as milliseconds from now.
export function parseRetryAfter(value, now) {
  if (typeof value !== "string") return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
