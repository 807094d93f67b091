// The client in Python of the README: it has the standard library alone.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { aGateway, expected, randomCuts, readable, said } from "./conversation.mjs";
import { blocks } from "./readme.mjs";

const timeout = 180_000; // for what must happen, however busy the machine

// The program has a conversation over each of the ports of its command line, and prints
// what it has got.
const program = `
import json, sys
from session import Session

said, *ports = (json.loads(word) for word in sys.argv[1:])
for port in ports:
    session = Session("127.0.0.1", port)
    for data in said:
        session.send(data if isinstance(data, str) else bytes(data))
    got = []
    while len(got) < len(said) or session.kept:
        data = session.receive()
        if data is not None:
            got.append(data if isinstance(data, str) else list(data))
    print(json.dumps([got, [str(data) for data in session.uncertain]]))
    session.ws.socket.close()
`;

test("the client in Python: through cuts at random places every message once and in order", { timeout }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ws-gateway-client-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "session.py"), blocks("python").join("\n"));
  writeFileSync(join(folder, "program.py"), program);
  const c = await aGateway(t);
  const run = async (lines) => {
    const ports = lines.map((line) => line.address.split(":")[1]);
    const { stdout } = await promisify(execFile)("python3", ["-W", "error", join(folder, "program.py"), JSON.stringify(said.map(readable)), ...ports]);
    const results = stdout.trim().split("\n").map((text) => JSON.parse(text));
    assert.equal(results.length, lines.length);
    for (const result of results) assert.deepEqual(result, [expected, []]);
  };
  const line = await c.lineTo([]);
  await run([line]);
  const cuts = randomCuts(t, line, 45);
  const lines = [];
  for (let n = 0; n < cuts.length; n += 3) lines.push(await c.lineTo(cuts.slice(n, n + 3)));
  await run(lines);
  const heard = await c.all(16);
  for (const got of heard.values()) assert.deepEqual(got, expected);
  assert.equal(heard.size, 16);
});
