// Numbers and times for people.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function number(n) {
  if (n === undefined || Number.isNaN(n)) return "–";
  return n >= 100 || Number.isInteger(n) ? whole.format(Math.round(n)) : short.format(n);
}

export function seconds(s) {
  if (s === undefined || Number.isNaN(s)) return "–";
  if (s < 0.001) return `${short.format(s * 1e6)} µs`;
  if (s < 1) return `${short.format(s * 1e3)} ms`;
  return `${short.format(s)} s`;
}

// span is a length of time in its two largest units.
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB", { hour12: false });
export const date = (iso) => new Date(iso).toLocaleString("sv-SE");
