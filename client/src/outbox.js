// What waits for a connection: bounded by count and bytes, in the order of sending.

const encoder = new TextEncoder();

// sizeOf is how many bytes data is on the wire, frame header apart.
export function sizeOf(data) {
  if (typeof data === "string") return encoder.encode(data).length;
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data.byteLength;
  if (data instanceof Blob) return data.size;
  throw new TypeError("data must be a string, an ArrayBuffer, a view of one, or a Blob; for JSON use sendEvent or JSON.stringify");
}

export class Outbox {
  #items = [];
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

  // push keeps data, or says false if there is no room. Bytes are copied: their owner
  // may use them again, as with WebSocket.send.
  push(data, size) {
    if (this.#items.length >= this.#maxItems || this.#bytes + size > this.#maxBytes) return false;
    this.#items.push({ data: ownCopy(data), size });
    this.#bytes += size;
    return true;
  }

  // drain hands each message to send, oldest first, for as long as send says true.
  drain(send) {
    let sent = 0;
    while (sent < this.#items.length && send(this.#items[sent].data)) {
      this.#bytes -= this.#items[sent].size;
      sent++;
    }
    this.#items.splice(0, sent);
  }

  // empty gives back what is left.
  empty() {
    const left = this.#items.map((item) => item.data);
    this.#items = [];
    this.#bytes = 0;
    return left;
  }
}

function ownCopy(data) {
  if (data instanceof ArrayBuffer) return data.slice(0);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  return data;
}
