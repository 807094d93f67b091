// What an app needs to talk to ws-gateway, whatever it does: copy this file.
import { createHmac, timingSafeEqual } from "node:crypto";

const gateway = process.env.GATEWAY ?? "http://127.0.0.1:40010";
const secret = process.env.CALLBACK_SECRET ?? "change me";

// signed says whether header, X-Ws-Signature, signs body: a Buffer, before anything has
// parsed it.
export function signed(header = "", body = Buffer.alloc(0), now = Date.now() / 1000) {
  const parts = header.split(",").map((part) => part.split("="));
  const stamp = parts.find(([name]) => name === "t")?.[1] ?? "";
  const want = createHmac("sha256", secret).update(`${stamp}.`).update(body).digest();
  const matches = parts.some(([name, value = ""]) => {
    const got = Buffer.from(value, "hex");
    return name === "v1" && got.length === want.length && timingSafeEqual(got, want);
  });
  return matches && Math.abs(now - Number(stamp)) < 300;
}

// call posts a command, such as conn/send, and fails unless it was done. Its time is shorter
// than the gateway's --callback-timeout, so that two attempts of an event do not overlap.
export async function call(route, command) {
  const answer = await fetch(`${gateway}/tapr/ws/${route}`, {
    method: "POST",
    body: JSON.stringify(command),
    signal: AbortSignal.timeout(5_000),
  });
  const { code, message } = await answer.json();
  if (code !== 0) throw new Error(`${route}: ${message} (${code})`);
}

const handled = new Set();
const remembered = 10_000;

// once acts unless it has done so for this X-Request-Id: an event comes again if its answer
// was lost. It forgets the oldest, and all of them with the process.
export async function once(id, act) {
  if (handled.has(id)) return;
  await act();
  handled.add(id);
  if (handled.size > remembered) handled.delete(handled.values().next().value);
}
