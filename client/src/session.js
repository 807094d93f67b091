// A session that outlives its connections: what each side has of the other's messages,
// and how that is written. Pure. Every data message counts but those that begin with the
// mark: these are the session's own.

export const resumable = "ws-gateway.resume.v1"; // the subprotocol

// Offered in front of it where the page offers none: a gateway that cannot resume selects
// the first, and a browser would take no answer that selects none of what it has offered.
const plain = "ws-gateway.plain.v1";

const mark = "\u001e"; // RFC 7464's record separator
const token = /^[\w!#$%&'*+.^`|~-]{1,1024}$/; // RFC 9110, 5.6.2: else it cannot be offered

const maxMessages = 32; // between two acknowledgements
const maxBytes = 32 * 1024;

// offer is what a handshake offers: the page's own subprotocols, and with a session the
// wish to go on with it.
export function offer(protocols, session) {
  const own = typeof protocols === "string" ? [protocols] : [...protocols];
  if (own.length === 0) own.push(plain);
  own.push(resumable);
  if (session?.token) own.push(`${resumable}.${session.token}.${session.received}`);
  return own;
}

// chosen is the page's view of a subprotocol that was selected.
export function chosen(protocol) {
  return protocol === plain ? "" : protocol;
}

// wire is how data is sent while there is a session.
export function wire(data) {
  return isMarked(data) ? mark + data : data;
}

export function isMarked(data) {
  return typeof data === "string" && data.startsWith(mark);
}

// read tells the session's own messages from the app's: {data}, {acknowledged: n},
// {greeting}, or {} for what later versions may say. It throws if it is none of these.
export function read(received) {
  if (!isMarked(received)) return { data: received };
  const text = received.slice(1);
  if (isMarked(text)) return { data: text };
  if (/^\d{1,15}$/.test(text)) return { acknowledged: Number(text) };
  if (text.startsWith("{")) return parse(text);
  throw new Error(`not understood: ${JSON.stringify(received.slice(0, 40))}`);
}

function parse(text) {
  let greeting;
  try {
    greeting = JSON.parse(text);
  } catch {
    throw new Error("its greeting is no JSON");
  }
  if (!("resumed" in greeting)) return {};
  const { resumed, token: next, received } = greeting;
  if (typeof resumed !== "boolean" || !token.test(next) || !Number.isSafeInteger(received) || received < 0) throw new Error("its greeting lacks resumed, token or received");
  return { greeting };
}

export class Session {
  token;
  protocol;
  received = 0; // of the gateway's messages

  // Since we have last acknowledged, both ways: our own messages wait for an answer too.
  #messages = 0;
  #bytes = 0;
  #limits;

  // maxKept and maxKeptBytes bound what waits to be acknowledged by the gateway.
  constructor(greeting, maxKept, maxKeptBytes) {
    this.protocol = typeof greeting.protocol === "string" ? chosen(greeting.protocol) : "";
    this.#limits = { messages: Math.min(maxMessages, Math.ceil(maxKept / 2)), bytes: Math.min(maxBytes, Math.ceil(maxKeptBytes / 2)) };
    this.goOn(greeting);
  }

  // goOn begins another connection.
  goOn(greeting) {
    this.token = greeting.token;
    this.#messages = this.#bytes = 0;
  }

  // give up is for a gateway that has broken its word: the next connection is a new session.
  giveUp() {
    this.token = "";
  }

  // passed counts a message of either side, of about so many bytes. It says whether to
  // acknowledge now.
  passed(bytes) {
    this.#messages++;
    this.#bytes += bytes;
    return this.#messages >= this.#limits.messages || this.#bytes >= this.#limits.bytes;
  }

  acknowledgement() {
    this.#messages = this.#bytes = 0;
    return mark + this.received;
  }
}
