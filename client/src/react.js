// A hook for React: one client while the component is mounted.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Client } from "./client.js";

const types = ["open", "message", "reconnecting", "lost", "close", "state"];

export function useClient(url, options, listeners) {
  const [client, setClient] = useState(null);
  const given = useRef({});
  useEffect(() => {
    given.current = { options, listeners };
  });
  useEffect(() => {
    const client = new Client(url, given.current.options);
    for (const type of types) client.addEventListener(type, (event) => given.current.listeners?.[type]?.(event));
    setClient(client);
    return () => client.close();
  }, [url]);
  const subscribe = useCallback((changed) => {
    client?.addEventListener("state", changed);
    return () => client?.removeEventListener("state", changed);
  }, [client]);
  const state = useSyncExternalStore(subscribe, () => client?.state ?? "connecting", () => "connecting");
  return { client, state };
}
