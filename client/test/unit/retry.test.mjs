// The rules of retry.js by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../../src/options.js";
import { parseRetryAfter, usual, wait } from "../../src/retry.js";

test("refused handshakes: which are final", () => {
  for (const status of [400, 401, 403, 410, 431]) assert.equal(usual({ code: 1006, status }), false, `${status}`);
  for (const status of [200, 302, 404, 408, 425, 426, 429, 500, 502, 503, 504]) assert.equal(usual({ code: 1006, status }), true, `${status}`);
});

test("Retry-After is the least, the window comes on top, and both are bounded", () => {
  const at = (end, random) => wait({ code: 1006, failures: 1, ...end }, defaults, () => random);
  assert.deepEqual(at({ status: 503, retryAfter: 5_000 }, 0), { least: 5_000, delay: 5_000 });
  assert.deepEqual(at({ status: 503, retryAfter: 5_000 }, 1), { least: 5_000, delay: 10_000 });
  assert.deepEqual(at({ status: 429, retryAfter: 5_000, failures: 9 }, 1), { least: 5_000, delay: 35_000 });
  assert.deepEqual(at({ status: 503, retryAfter: 1e12 }, 0), { least: 300_000, delay: 300_000 });
  assert.deepEqual(at({ failures: 1e6 }, 1), { least: 0, delay: 30_000 });
});

test("Retry-After is seconds or a date", () => {
  const now = Date.UTC(2030, 0, 1);
  for (const [value, ms] of [
    ["5", 5_000], [" 5 ", 5_000], ["0", 0], ["Tue, 01 Jan 2030 00:01:00 GMT", 60_000], ["Mon, 31 Dec 2029 00:00:00 GMT", 0],
    ["soon", undefined], ["", undefined], [undefined, undefined],
  ]) assert.equal(parseRetryAfter(value, now), ms, `${value}`);
});
