// The parts of the management API that the page uses.

import { scope } from "./instances.js";

const tokenKey = "ws-gateway admin token"; // in sessionStorage, which ends with the tab

export const hasToken = () => sessionStorage.getItem(tokenKey) !== null;
export const setToken = (token) => sessionStorage.setItem(tokenKey, token);
export const forgetToken = () => sessionStorage.removeItem(tokenKey);

// TokenError is thrown if the gateway wants a token, or another one.
export class TokenError extends Error {}

// StatusError is thrown if it answers with any other error status.
export class StatusError extends Error {}

// request returns the gateway's response unless it is an error status.
export async function request(path, options = {}) {
  const headers = {};
  if (hasToken()) headers.Authorization = `Bearer ${sessionStorage.getItem(tokenKey)}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  if (response.status === 401) throw new TokenError("The gateway does not take this token.");
  if (!response.ok) throw new StatusError(await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).message ?? text;
  } catch {
    return text.trim() || `The gateway answered ${response.status}.`;
  }
}

// call returns the answer of a route that speaks JSON; body, if any, is JSON text. An error
// names the API's code.
export async function call(path, body, signal) {
  const response = await request(path, { method: body === undefined ? "GET" : "POST", body, signal });
  const answer = await response.json();
  if (answer.code !== 0) throw Object.assign(new Error(answer.message), { code: answer.code });
  return answer;
}

export const metrics = async (signal) => (await request("/metrics", { signal })).text();
export const status = async (signal) => (await call("/tapr/ws/status", undefined, signal)).data;
export const config = async () => (await call("/tapr/ws/config")).data;

// within adds to a query which gateways it is about.
export function within(query) {
  if (scope()) query.set("scope", scope());
}

// without says which gateways are missing from a list.
export const without = (missing) => (missing?.length ? `; without ${missing.join(", ")}, not reached` : "");

// page returns up to limit connections as a flat list, and the next page's cursor.
export async function page({ user, group, prefix, remote, older, cursor, limit }) {
  const query = new URLSearchParams({ limit });
  if (user !== undefined) query.set("user", user);
  if (group !== undefined) query.set("group", group);
  if (prefix !== undefined) query.set("user_prefix", prefix);
  if (remote !== undefined) query.set("remote", remote);
  if (older !== undefined) query.set("older_than", older);
  if (cursor) query.set("cursor", cursor);
  within(query);
  const answer = await call(`/tapr/ws/conn/list?${query}`);
  const conns = answer.data.flatMap(({ name, conns }) => conns.map((c) => ({ ...c, name })));
  return { conns, cursor: answer.cursor, missing: answer.missing };
}

// groups returns up to limit groups, of one user or connection if it is named, and the next
// page's cursor.
export async function groups({ user, conn, cursor, limit }) {
  const query = new URLSearchParams({ limit });
  if (user !== undefined) query.set("user", user);
  if (conn !== undefined) query.set("conn_id", conn);
  if (cursor) query.set("cursor", cursor);
  within(query);
  const answer = await call(`/tapr/ws/group/list?${query}`);
  return { groups: answer.data, cursor: answer.cursor, missing: answer.missing };
}

// get returns one connection, or undefined.
export async function get(id) {
  try {
    return (await call(`/tapr/ws/conn/get?${new URLSearchParams({ conn_id: id })}`)).data;
  } catch (e) {
    if (e.code === 404) return undefined;
    throw e;
  }
}

// send takes the payload as text: JSON is sent byte for byte.
export async function send(target, text, asJSON) {
  const rest = JSON.stringify({ ...target, report: true, ...(asJSON ? {} : { encoding: "text" }) }).slice(1);
  return (await call("/tapr/ws/conn/send", `{"payload":${asJSON ? text : JSON.stringify(text)},${rest}`)).data;
}

export const close = (target, code, reason) => call("/tapr/ws/conn/close", JSON.stringify({ ...target, code, reason }));
