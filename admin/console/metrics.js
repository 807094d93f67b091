// Reads the part of the Prometheus text format that the gateway writes, and compares two
// scrapes.

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

// parse returns a Map of name → [{labels, value}] for names that begin with prefix.
export function parse(text, prefix = "ws_gateway_") {
  const families = new Map();
  for (const row of text.split("\n")) {
    if (!row.startsWith(prefix)) continue;
    const match = line.exec(row);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(label)) labels[name] = value;
    const name = match[1].slice(prefix.length);
    if (!families.has(name)) families.set(name, []);
    families.get(name).push({ labels, value: Number(match[3].replace("Inf", "Infinity")) });
  }
  return families;
}

// sum adds up those of a family's values that have the wanted labels. It is undefined if
// there is no such family.
export function sum(families, name, want = {}) {
  const rows = families.get(name);
  if (!rows) return undefined;
  let total = 0;
  for (const { labels, value } of rows) {
    if (Object.entries(want).every(([key, one]) => labels[key] === one)) total += value;
  }
  return total;
}

// rate is a counter's growth per second between two scrapes; NaN if the gateway restarted
// between them.
export function rate(before, now, name, want) {
  const from = sum(before.families, name, want);
  const to = sum(now.families, name, want);
  if (from === undefined || to === undefined) return undefined;
  return to < from ? NaN : (to - from) / ((now.at - before.at) / 1000);
}

function buckets(families, name) {
  const byBound = new Map();
  for (const { labels, value } of families.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    byBound.set(bound, (byBound.get(bound) ?? 0) + value);
  }
  return byBound;
}

// quantile estimates a quantile of what a histogram counted between two scrapes; NaN if it
// counted nothing.
export function quantile(q, before, now, name) {
  const from = buckets(before.families, name);
  const to = [...buckets(now.families, name)].sort(([a], [b]) => a - b)
    .map(([bound, count]) => [bound, count - (from.get(bound) ?? 0)]);
  const total = to.length ? to.at(-1)[1] : 0;
  if (!(total > 0)) return NaN;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of to) {
    if (count >= q * total) {
      if (bound === Infinity) return lower;
      return lower + (bound - lower) * ((q * total - below) / (count - below || 1));
    }
    [lower, below] = [bound, count];
  }
  return lower;
}
