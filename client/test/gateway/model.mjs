// The wire of resumable sessions in a hundred lines, from the gateway's side: what a client
// must hold its own against, beside the real gateway.

import { once } from "node:events";
import { WebSocketServer } from "ws";

const mark = "\u001e";
const resumable = "ws-gateway.resume.v1";

// startModel serves until the test has ended. joined is called with each new session.
export async function startModel(t, joined) {
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    handleProtocols: (offered) => (offered.has(resumable) ? resumable : [...offered][0]),
  });
  await once(server, "listening");
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const sessions = new Map(); // by id
  let made = 0;
  server.on("connection", (socket, request) => {
    const offered = request.headers["sec-websocket-protocol"].split(/, */).find((name) => name.startsWith(`${resumable}.`));
    const [id, turn, received] = offered?.slice(resumable.length + 1).split(".") ?? [];
    const known = sessions.get(id);
    if (known?.knows(Number(turn))) {
      known.attach(socket, Number(received), Number(turn));
      return;
    }
    const session = new Session(`s${++made}`, () => sessions.delete(session.id));
    sessions.set(session.id, session);
    session.attach(socket, null, -1);
    joined(session, request);
  });
  return { address: `127.0.0.1:${server.address().port}`, sessions };
}

class Session {
  received = 0;
  lines = 0; // how often it was attached
  onmessage = () => {};

  #kept = []; // sent, and not acknowledged
  #acknowledged = 0;
  #turn = 0;
  #heard = true; // something has come with the present turn
  #socket = null;
  #ended;

  constructor(id, ended) {
    this.id = id;
    this.#ended = ended;
  }

  // The turn before counts until the present one has been heard of.
  knows(turn) {
    return turn === this.#turn || (!this.#heard && turn === this.#turn - 1);
  }

  attach(socket, received, turn) {
    const old = this.#socket;
    this.#socket = socket;
    old?.terminate();
    this.lines++;
    const resumed = received !== null;
    if (resumed) {
      this.#acknowledge(received);
      this.#turn = turn + 1; // the same again if the answer to the last handshake got lost
      this.#heard = false;
    }
    const greeting = { resumed, id: this.id, token: `${this.id}.${this.#turn}`, for: 60, received: this.received };
    socket.send(mark + JSON.stringify(greeting));
    for (const data of this.#kept) socket.send(data);
    socket.on("message", (bytes, binary) => socket === this.#socket && this.#take(binary ? bytes : String(bytes)));
    socket.on("close", (code) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (code !== 1006) this.#ended(); // the client has said good-bye
    });
  }

  send(data) {
    const wire = typeof data === "string" && data.startsWith(mark) ? mark + data : data;
    this.#kept.push(wire);
    this.#socket?.send(wire);
  }

  #take(data) {
    this.#heard = true;
    if (typeof data === "string" && data.startsWith(mark)) {
      if (data[1] !== mark) {
        this.#acknowledge(Number(data.slice(1)));
        this.#socket.send(mark + this.received);
        return;
      }
      data = data.slice(1);
    }
    this.received++;
    this.onmessage(data);
  }

  #acknowledge(n) {
    const more = n - this.#acknowledged;
    if (!(more >= 0 && more <= this.#kept.length)) throw new Error(`the client acknowledges ${n}, ${this.#acknowledged} to ${this.#acknowledged + this.#kept.length} were possible`);
    this.#kept.splice(0, more);
    this.#acknowledged = n;
  }
}
