// The package as it is handed out.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const client = join(import.meta.dirname, "../..");

test("what is packed installs without a network, imports, has its types, and nothing else", { timeout: 300_000 }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ws-gateway-client-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const npm = (cwd, ...args) => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const [packed] = JSON.parse(npm(client, "pack", "--json", "--pack-destination", folder));
  assert.deepEqual(packed.files.map((f) => f.path).sort(), [
    "README.md", "package.json", "src/alarm.js", "src/client.js", "src/index.d.ts", "src/index.js",
    "src/options.js", "src/outbox.js", "src/react.d.ts", "src/react.js", "src/retry.js", "src/session.js", "src/wake.js",
  ]);
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  npm(folder, "install", "--offline", "--no-audit", "--no-fund", join(folder, packed.filename));
  const program = 'import { Client, defaults } from "ws-gateway-client"; console.log(typeof Client, defaults.pingInterval);';
  assert.equal(execFileSync(process.execPath, ["--input-type=module", "--eval", program], { cwd: folder, encoding: "utf8" }), "function 30000\n");
  const { exports } = JSON.parse(readFileSync(join(folder, "node_modules/ws-gateway-client/package.json"), "utf8"));
  for (const path of Object.values(exports).flatMap((entry) => Object.values(entry))) readFileSync(join(folder, "node_modules/ws-gateway-client", path));
});
