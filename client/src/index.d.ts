/** What can be sent. Bytes are copied before `send` returns. */
export type Data = string | ArrayBuffer | ArrayBufferView | Blob;

/**
 * - `connecting`: an attempt is under way
 * - `open`: messages flow
 * - `waiting`: the connection has ended, or could not be had; the next attempt is due or being decided upon
 * - `closing`: `close` was called, the other side has not answered yet
 * - `closed`: for good
 */
export type State = "connecting" | "open" | "waiting" | "closing" | "closed";

/** How a connection, or an attempt to get one, has ended. */
export interface End {
  /** RFC 6455, 7.4; 1006 for whatever is not a close frame. */
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** Whether the connection had been open. */
  readonly opened: boolean;
  /** Ends since a connection last lived for `stableAfter`, this one included. */
  readonly failures: number;
  /** HTTP status with which the handshake was refused. Only the package `ws` shows it. */
  readonly status?: number;
  /** `Retry-After` of that answer, in milliseconds. */
  readonly retryAfter?: number | undefined;
}

export interface OpenEvent extends Event {
  readonly type: "open";
  /** How many ends and failed attempts came before; 0 on the first connection that opens at once. */
  readonly failures: number;
  /** Whether this goes on with the session before: nothing was lost, and the app has seen no end of it. Needs `resume`. */
  readonly resumed: boolean;
}

export interface DataEvent extends Event {
  readonly type: "message";
  /** A string, or for a binary message what `binaryType` says. Pongs don't show. */
  readonly data: any;
}

export interface ReconnectingEvent extends Event, End {
  readonly type: "reconnecting";
  /** Milliseconds until the next attempt; an awakening may shorten it. */
  readonly delay: number;
}

export interface ClosedEvent extends Event {
  readonly type: "close";
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** See {@link End}. */
  readonly status?: number;
  /** What was not delivered, oldest first. */
  readonly unsent: Data[];
  /** How many of them, from the first on, may have arrived all the same. Without `resume` 0: what was handed to a socket is not kept. */
  readonly uncertain: number;
}

/** A session could not be resumed; another connection is open. What the app has sent in between is lost. */
export interface LostEvent extends Event {
  readonly type: "lost";
  /** What the gateway has not acknowledged, oldest first. What has not been handed to a socket is not among it, and is sent by itself. */
  readonly unsent: Data[];
  /** How many of them, from the first on, may have arrived all the same: here all. */
  readonly uncertain: number;
}

export interface StateEvent extends Event {
  readonly type: "state";
  readonly state: State;
}

export interface ClientEventMap {
  open: OpenEvent;
  message: DataEvent;
  reconnecting: ReconnectingEvent;
  lost: LostEvent;
  close: ClosedEvent;
  state: StateEvent;
}

/** A WebSocket of the browser, of Node 22 or later, or of the package `ws`. */
export type WebSocketConstructor = new (url: string, protocols: any, options?: any) => object;

/** Times are milliseconds, sizes bytes. */
export interface Options {
  /**
   * Goes on with the same session after a loss of the connection, where the gateway can (`--resume-for`): each message
   * arrives once and in order, both ways, and the app sees neither close nor open. Default: false.
   */
  resume?: boolean;
  /** Subprotocols to offer. */
  protocols?: string | string[];
  /** What binary messages become. Default: `arraybuffer`. */
  binaryType?: "arraybuffer" | "blob";
  /** Default: the global one. Node has none before version 22. */
  WebSocket?: WebSocketConstructor;
  /** Third argument for that constructor, such as `{ headers }` for the package `ws`. */
  socketOptions?: unknown;
  /** Closes the client, as `close()` does. */
  signal?: AbortSignal;
  /**
   * Decides after each end instead of the usual rules: `true` reconnects after the usual time, `false` not at all,
   * a number after so many milliseconds, `undefined` leaves it to the rules. Until a promise is settled nothing happens;
   * where it rejects, the rules apply and the error is logged.
   */
  retry?: (end: End) => boolean | number | undefined | void | Promise<boolean | number | undefined | void>;
  /** A number from 0 to 1, for the jitter. Default: `Math.random`. */
  random?: () => number;

  /** From one ping to the next. Default: 30,000. */
  pingInterval?: number;
  /** In which anything must arrive after a ping; else the connection is dead. Default: 10,000. */
  pongTimeout?: number;
  /** The same after an awakening. Default: 5,000; in a session at least 7,000. */
  checkTimeout?: number;
  /** For one attempt, a `url` function included. Default: 20,000. */
  connectTimeout?: number;
  /** For the answer to `close`. Default: 5,000. */
  closeTimeout?: number;
  /** Window from which the first delay is drawn; it doubles with each failure. Default: 1,000. */
  backoffBase?: number;
  /** Largest such window. Default: 30,000. */
  backoffMax?: number;
  /** Smallest window after 1001, 1012, 1013, 429 and 503. Default: 5,000. */
  restartSpread?: number;
  /** Largest `Retry-After` that is believed. Default: 300,000. */
  retryAfterMax?: number;
  /** Life of a connection after which failures are counted anew. Default: 10,000. */
  stableAfter?: number;
  /** Messages that wait for a connection, or with `resume` for an acknowledgement. Default: 1,000; 0 buffers none. */
  maxBufferedMessages?: number;
  /** Bytes that wait for a connection, in an open socket, or with `resume` for an acknowledgement. Default: 1 MiB. */
  maxBufferedBytes?: number;
  /** Largest message that is sent; the gateway's `--max-message-size`. Default: 1 MiB. */
  maxMessageBytes?: number;
}

/** The defaults of the numbers among {@link Options}. */
export const defaults: Readonly<{
  pingInterval: number;
  pongTimeout: number;
  checkTimeout: number;
  connectTimeout: number;
  closeTimeout: number;
  backoffBase: number;
  backoffMax: number;
  restartSpread: number;
  retryAfterMax: number;
  stableAfter: number;
  maxBufferedMessages: number;
  maxBufferedBytes: number;
  maxMessageBytes: number;
}>;

/** One connection to a ws-gateway that is kept until it is closed. */
export class Client extends EventTarget {
  /**
   * Starts to connect.
   *
   * @param url ws, wss, http or https; in a page also relative to it. A function is asked before each attempt;
   * when it throws or rejects, that attempt has failed.
   * @throws TypeError for a wrong option; what `URL` and `WebSocket` throw for a wrong `url` or `protocols`.
   */
  constructor(url: string | URL | (() => string | URL | Promise<string | URL>), options?: Options);

  readonly state: State;

  /** Messages in the buffer, with those in a session that are not acknowledged. Others in the socket are not counted. */
  readonly bufferedMessages: number;

  /** Bytes in the buffer and in the socket. */
  readonly bufferedAmount: number;

  /** The subprotocol of the present connection, or an empty string. */
  readonly protocol: string;

  /**
   * Hands a message to the socket, or to the buffer while there is none. With `resume` it stays in the buffer until the gateway has it.
   *
   * @returns false if it was not taken: the buffer or the open socket is full, or the client is closed.
   * @throws TypeError for data of another type, RangeError for more than `maxMessageBytes`.
   */
  send(data: Data): boolean;

  /** Sends `{"event": event, "data": data}` as JSON; `data` is `{}` unless given. As `send` otherwise. */
  sendEvent(event: string, data?: unknown): boolean;

  /** Finds out at once whether the connection lives; while waiting, tries again as soon as is allowed. */
  check(): void;

  /**
   * Closes for good, and ends the session. A message that was handed to the socket leaves first; what waits in the buffer does not.
   *
   * @param code 1000 (the default) or 3000 to 4999
   * @param reason at most 123 bytes
   * @throws RangeError for another code or a longer reason
   */
  close(code?: number, reason?: string): void;

  addEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: ((event: ClientEventMap[K]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: ((event: ClientEventMap[K]) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}
