import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";

const secret = "change me";

// header is X-Ws-Signature, body a Buffer: the bytes as they came, before
// anything has parsed them.
function verify(header = "", body, now = Date.now() / 1000) {
  const parts = header.split(",").map((part) => part.split("="));
  const stamp = parts.find(([name]) => name === "t")?.[1] ?? "";
  const want = createHmac("sha256", secret).update(`${stamp}.`).update(body).digest();
  const signed = parts.some(([name, value = ""]) => {
    const got = Buffer.from(value, "hex");
    return name === "v1" && got.length === want.length && timingSafeEqual(got, want);
  });
  return signed && Math.abs(now - Number(stamp)) < 300;
}

createServer(async (request, response) => {
  const body = await buffer(request);
  if (!verify(request.headers["x-ws-signature"], body)) {
    response.writeHead(503, { "X-Ws-Error": "signature" }); // the gateway's mistake, not the client's
  }
  response.end();
}).listen(8888, "127.0.0.1");
