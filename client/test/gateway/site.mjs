// A site for pages: the client's modules, pages, and the way to a gateway.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { basename, join } from "node:path";

const empty = "<!doctype html><title>page</title>";

// startSite serves pages, which are {path: HTML or, if it ends in .js, a script}, and passes
// on WebSockets to target. "/halt" answers when its result's release is called.
export async function startSite(t, { pages = {}, target = "" } = {}) {
  const sockets = new Set();
  const halted = [];
  const server = http.createServer(async ({ url }, response) => {
    if (url === "/halt") {
      halted.push(() => response.end());
    } else if (url.startsWith("/ws-gateway-client/")) {
      response.setHeader("Content-Type", "text/javascript");
      response.end(await readFile(join(import.meta.dirname, "../../src", basename(url))));
    } else {
      response.setHeader("Content-Type", url.endsWith(".js") ? "text/javascript" : "text/html");
      response.statusCode = url in pages || url === "/" ? 200 : 404;
      response.end(pages[url] ?? empty);
    }
  });
  server.on("upgrade", (request, near, head) => {
    const [host, port] = target.split(":");
    const far = net.connect(port, host);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        for (const other of [near, far]) other.destroy();
        sockets.delete(socket);
      });
    }
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let n = 0; n < request.rawHeaders.length; n += 2) lines.push(`${request.rawHeaders[n]}: ${request.rawHeaders[n + 1]}`);
    far.write(`${lines.join("\r\n")}\r\n\r\n`);
    far.write(head);
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t?.after(() => stop());
  const stop = () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop,
    // cut tears off all WebSockets.
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    release() {
      for (const answer of halted.splice(0)) answer();
    },
  };
}
