// A line to a gateway that the test can cut.

import { once } from "node:events";
import net from "node:net";

// lineTo listens, and passes on what comes to address. cuts are for the first connections,
// in this order: { up: n } lets n bytes pass to the gateway, { down: n } n bytes to the
// client, and then both ends are torn off; null lets all pass. It counts bytes: all, and
// those of the first handshake.
export async function lineTo(t, address, cuts = []) {
  const [host, port] = address.split(":");
  const sockets = new Set();
  const passed = { up: 0, down: 0 };
  const heads = { up: 0, down: 0 };
  const server = net.createServer({ noDelay: true }, (near) => {
    const far = net.connect({ port, host, noDelay: true });
    const tear = () => {
      for (const socket of [near, far]) socket.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        tear();
      });
    }
    const cut = line.dead ? { up: 0, down: 0 } : (line.cuts.shift() ?? {});
    const pass = (from, to, way) => {
      let left = cut[way] ?? Infinity;
      from.on("data", (bytes) => {
        heads[way] ||= bytes.indexOf("\r\n\r\n") + 4;
        passed[way] += bytes.length;
        if (bytes.length < left) {
          left -= bytes.length;
          to.write(bytes);
        } else {
          to.write(bytes.subarray(0, left), tear);
          from.pause();
        }
      });
      from.on("end", () => to.end());
    };
    pass(near, far, "up");
    pass(far, near, "down");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const end = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  t.after(end);
  const line = {
    address: `127.0.0.1:${server.address().port}`,
    url: `ws://127.0.0.1:${server.address().port}/ws`,
    cuts,
    dead: false, // while true nothing passes
    passed,
    heads,
    end,
    // cut tears off what is connected.
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    // silence makes what is connected deaf and dumb without closing it, as a router does
    // that has lost its table.
    silence() {
      for (const socket of sockets) socket.pause().removeAllListeners("data");
    },
  };
  return line;
}
