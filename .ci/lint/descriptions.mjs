// Checks descriptions, OpenAPI and AsyncAPI files, by Redocly's rules.
//
//   node descriptions.mjs FILE...
import { createConfig, lint } from "@redocly/openapi-core";

const config = await createConfig({
  extends: ["recommended-strict"],
  rules: {
    "info-license": "off",
    "no-path-trailing-slash": "off", // the console is at /console/
  },
  async3Rules: { "security-defined": "off" }, // who may connect is for whatever is in front to say
});

let found = 0;
for (const ref of process.argv.slice(2)) {
  for (const problem of await lint({ ref, config })) {
    found++;
    const where = problem.location.map((l) => l.pointer).join(" ");
    console.error(`${ref}${where}: ${problem.message} (${problem.ruleId})`);
  }
}
process.exitCode = found > 0 ? 1 : 0;
