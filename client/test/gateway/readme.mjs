// The examples of the README, which tests run.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const text = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

// blocks are the code blocks of a language, in their order; with a name, those whose first
// line has it in a comment.
export function blocks(language, name = "") {
  const found = [...text.matchAll(new RegExp("^```" + language + "\\n(.*?)^```$", "gms"))].map((match) => match[1]);
  const wanted = found.filter((block) => block.split("\n", 1)[0].includes(name));
  assert.ok(wanted.length > 0, `the README has no ${language} ${name}`);
  return wanted;
}
