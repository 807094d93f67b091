import type { Client, ClientEventMap, Options, State } from "./index.js";

/** What is called with a client's events. */
export type Listeners = { [K in keyof ClientEventMap]?: (event: ClientEventMap[K]) => void };

/**
 * A client while the component is mounted, and another one for another URL. The component is rendered again when its
 * state changes.
 *
 * @param url as for `Client`. A function must stay the same one, or each rendering connects again.
 * @param options as for `Client`; they count when a client is made.
 * @param listeners those of the last rendering are called.
 */
export function useClient(
  url: string | URL | (() => string | URL | Promise<string | URL>),
  options?: Options,
  listeners?: Listeners,
): {
  /** null until the component is mounted, also on a server. */
  readonly client: Client | null;
  readonly state: State;
};
