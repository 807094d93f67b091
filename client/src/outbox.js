// What waits: for a connection, and with a session also, in front of that, for the
// gateway to acknowledge it. Bounded by count and bytes, in the order of sending.

const encoder = new TextEncoder();

// sizeOf is how many bytes data is on the wire, frame header apart.
export function sizeOf(data) {
  if (typeof data === "string") return encoder.encode(data).length;
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data.byteLength;
  if (data instanceof Blob) return data.size;
  throw new TypeError("data must be a string, an ArrayBuffer, a view of one, or a Blob; for JSON use sendEvent or JSON.stringify");
}

export class Outbox {
  #items = []; // what was handed to a socket first
  #handed = 0; // how many of them
  #acknowledged = 0; // in this session, no longer here
  #bytes = 0;
  #maxItems;
  #maxBytes;

  constructor(maxItems, maxBytes) {
    this.#maxItems = maxItems;
    this.#maxBytes = maxBytes;
  }

  get length() {
    return this.#items.length;
  }

  get bytes() {
    return this.#bytes;
  }

  // handed is how many messages wait to be acknowledged.
  get handed() {
    return this.#handed;
  }

  // push keeps data, or says false if there is no room. Bytes are copied: their owner
  // may use them again, as with WebSocket.send.
  push(data, size) {
    if (!this.#hasRoom(size)) return false;
    this.#items.push({ data: ownCopy(data), size });
    this.#bytes += size;
    return true;
  }

  // pass keeps data as the next to be handed out. A message alone may be of any size.
  pass(data, size) {
    if (this.#items.length > 0 && !this.#hasRoom(size)) return false;
    this.#items.splice(this.#handed, 0, { data: ownCopy(data), size });
    this.#bytes += size;
    return true;
  }

  #hasRoom(size) {
    return this.#items.length < this.#maxItems && this.#bytes + size <= this.#maxBytes;
  }

  // hand gives send each message and its size, oldest first, until send says false. They
  // stay here until they are acknowledged.
  hand(send) {
    while (this.#handed < this.#items.length) {
      const { data, size } = this.#items[this.#handed++];
      if (send(data, size)) continue;
      this.#handed--;
      return;
    }
  }

  // handNext is hand for the next message alone.
  handNext(send) {
    const { data, size } = this.#items[this.#handed++];
    send(data, size);
  }

  // drain is hand for a connection without acknowledgements.
  drain(send) {
    this.hand(send);
    this.#forget(this.#handed);
  }

  // acknowledge forgets the first n messages of the session. It says false if so many
  // were not sent. An older acknowledgement is no news.
  acknowledge(n) {
    if (n > this.#acknowledged + this.#handed) return false;
    if (n > this.#acknowledged) {
      this.#forget(n - this.#acknowledged);
      this.#acknowledged = n;
    }
    return true;
  }

  // rewind begins a connection of the same session, whose gateway has the first n
  // messages: the others will be handed out again. It says false if that cannot be.
  rewind(n) {
    if (n < this.#acknowledged || !this.acknowledge(n)) return false;
    this.#handed = 0;
    return true;
  }

  // renew begins another session. It returns what was handed out and never acknowledged.
  renew() {
    const uncertain = this.#items.slice(0, this.#handed).map((item) => item.data);
    this.#forget(this.#handed);
    this.#acknowledged = 0;
    return uncertain;
  }

  // empty gives back what is left.
  empty() {
    const left = this.#items.map((item) => item.data);
    this.#items = [];
    this.#bytes = this.#handed = 0;
    return left;
  }

  #forget(n) {
    for (const { size } of this.#items.splice(0, n)) this.#bytes -= size;
    this.#handed -= n;
  }
}

function ownCopy(data) {
  if (data instanceof ArrayBuffer) return data.slice(0);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  return data;
}
