// One connection that is kept: opened, watched by pings, opened again. All of the state
// is here; a socket's events count only while its turn is the present one.

import { Alarm } from "./alarm.js";
import { address, complete, longestTimer } from "./options.js";
import { Outbox, sizeOf } from "./outbox.js";
import { parseRetryAfter, usual, wait } from "./retry.js";
import { chosen, isMarked, offer, read, resumable, Session, wire } from "./session.js";
import { onWake } from "./wake.js";

const ping = '{"event":"ping","data":{}}';
const pong = '{"event":"pong"}'; // the gateway's answer, byte for byte
const lookEvery = 5_000; // how soon an awakening is noticed where no event tells of it
const acknowledgeAfter = 1_000;
const signsWithin = 7_000; // a gateway that does not read us shows in a session every 5 s that it lives
const maxDrift = 5_000; // a timer that misses its moment by more was asleep
const maxReasonBytes = 123; // RFC 6455, 5.5
const isOpen = 1; // WebSocket.OPEN

class ClientEvent extends Event {
  constructor(type, fields) {
    super(type);
    Object.assign(this, fields);
  }
}

export class Client extends EventTarget {
  // Static after construction.
  #options;
  #url;
  #outbox;
  #stopListening = () => {};

  #state = "connecting";
  #socket = null;
  #turn = 0; // counts attempts and ends: what an earlier turn began is void
  #alarm = new Alarm(); // the one timer, whatever the state waits for

  // With the option resume.
  #session = null; // null before the first, and where the gateway cannot resume
  #abandoned = null; // a socket that was given up, but not closed
  #acknowledgeDue = 0; // 0: there is nothing to acknowledge
  #goodbye = null; // code and reason, until what was sent before is acknowledged

  // Of the connection, while open.
  #openedAt = 0;
  #pingDue = 0;
  #pongDue = 0; // 0: none is awaited
  #backlog = 0; // bytes that waited in the socket when that was last looked at
  #rechecked = false; // a pong is missing, and the clock could not be trusted once already

  // Of the attempts to get one.
  #failures = 0;
  #triedAt = 0;
  #notBefore = Infinity; // while waiting: the server's or the app's wish
  #retryDue = Infinity;

  constructor(url, options = {}) {
    super();
    this.#options = complete(options);
    this.#url = url;
    this.#outbox = new Outbox(this.#options.maxBufferedMessages, this.#options.maxBufferedBytes);
    const { signal } = this.#options;
    if (signal?.aborted) {
      this.#state = "closed";
      return;
    }
    this.#connect();
    const abort = () => this.close();
    const stopWake = onWake(() => this.check());
    signal?.addEventListener("abort", abort);
    this.#stopListening = () => {
      stopWake();
      signal?.removeEventListener("abort", abort);
    };
  }

  get state() {
    return this.#state;
  }

  get bufferedMessages() {
    return this.#outbox.length;
  }

  get bufferedAmount() {
    return this.#outbox.bytes + (this.#session ? 0 : (this.#socket?.bufferedAmount ?? 0));
  }

  get protocol() {
    return this.#session?.protocol ?? chosen(this.#socket?.protocol ?? "");
  }

  send(data) {
    const { maxMessageBytes, maxBufferedBytes } = this.#options;
    const size = sizeOf(data) + (this.#options.resume && isMarked(data) ? 1 : 0);
    if (size > maxMessageBytes) throw new RangeError(`a message of ${size} bytes is larger than maxMessageBytes (${maxMessageBytes})`);
    if (this.#state === "closing" || this.#state === "closed") return false;
    if (!this.#canSend()) return this.#outbox.push(data, size);
    if (this.#session) {
      const taken = this.#outbox.pass(data, size);
      if (taken) this.#outbox.handNext(this.#transmit);
      return taken;
    }
    const waiting = this.#socket.bufferedAmount;
    if (waiting > 0 && waiting + size > maxBufferedBytes) return false;
    this.#socket.send(data);
    return true;
  }

  sendEvent(event, data = {}) {
    return this.send(JSON.stringify({ event, data }));
  }

  check() {
    if (this.#state === "open") this.#checkOpen();
    else if (this.#state === "waiting") this.#hurry();
  }

  close(code = 1000, reason = "") {
    if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
      throw new RangeError(`close code ${code} is not 1000 or from 3000 to 4999`);
    }
    if (sizeOf(String(reason)) > maxReasonBytes) throw new RangeError(`the reason is longer than ${maxReasonBytes} bytes`);
    if (this.#state === "closing" || this.#state === "closed") return;
    if (this.#state !== "open") {
      this.#drop();
      this.#releaseAbandoned(code, reason);
      this.#finish({ code, reason, wasClean: false });
      return;
    }
    this.#goodbye = [code, reason];
    this.#sayGoodbye();
    this.#alarm.set(this.#options.closeTimeout, () => {
      this.#socket.close(code, reason); // a gateway that has not said what it has got may read this later
      this.#drop();
      this.#finish({ code: 1006, reason: "the other side did not answer the close", wasClean: false });
    });
    this.#setState("closing");
  }

  // In a session the gateway is asked first what it has got: after a close it could not say.
  #sayGoodbye() {
    if (this.#outbox.handed > 0 && this.#canSend()) this.#acknowledge();
    else this.#socket.close(...this.#goodbye);
  }

  // --- connecting

  #connect() {
    const turn = ++this.#turn;
    this.#triedAt = Date.now();
    this.#alarm.set(this.#options.connectTimeout, () => this.#lost(`no connection within ${this.#options.connectTimeout} ms`));
    this.#setState("connecting");
    if (turn !== this.#turn) return;
    if (typeof this.#url === "function") {
      Promise.resolve()
        .then(this.#url)
        .then((url) => turn === this.#turn && this.#dial(url, turn))
        .catch((error) => turn === this.#turn && this.#lost(String(error?.message ?? error)));
      return;
    }
    try {
      this.#dial(this.#url, turn);
    } catch (error) {
      if (turn > 1) {
        this.#lost(String(error?.message ?? error));
        return;
      }
      this.#alarm.clear(); // a mistake in what the constructor was given: it throws
      throw error;
    }
  }

  #dial(url, turn) {
    const { WebSocket, protocols, socketOptions, binaryType, resume } = this.#options;
    const more = socketOptions === undefined ? [] : [socketOptions];
    const socket = new WebSocket(address(url), resume ? offer(protocols, this.#session) : protocols, ...more);
    this.#socket = socket;
    socket.binaryType = binaryType;
    const current = (handle) => (event) => {
      if (turn === this.#turn) handle(event);
    };
    socket.addEventListener("open", current(() => this.#opened()));
    socket.addEventListener("message", current((event) => this.#received(event.data)));
    socket.addEventListener("close", current(({ code, reason, wasClean }) => this.#ended({ code, reason, wasClean })));
    // A handshake that fails has an error, and a close event not in every Node. This
    // listens beyond its turn: in the package ws an error that nobody hears is thrown.
    socket.addEventListener("error", (event) => {
      if (turn === this.#turn && this.#state === "connecting") this.#lost(event.message || "could not connect");
    });
    // The package ws alone shows what a refused handshake was answered with.
    socket.on?.("unexpected-response", (_request, response) => {
      if (turn !== this.#turn) return;
      const retryAfter = parseRetryAfter(response.headers["retry-after"], Date.now());
      this.#lost(`refused with ${response.statusCode}`, { status: response.statusCode, retryAfter });
    });
  }

  #opened() {
    this.#releaseAbandoned(); // from here on the gateway does not listen to it
    if (this.#options.resume && this.#socket.protocol === resumable) return; // until the gateway's greeting
    this.#begin(null);
  }

  // greeted is told whether the session goes on, or another one has begun.
  #greeted(greeting) {
    if (!greeting.resumed) {
      const { maxBufferedMessages, maxBufferedBytes } = this.#options;
      this.#begin(new Session(greeting, maxBufferedMessages, maxBufferedBytes));
    } else if (this.#session?.token && this.#outbox.rewind(greeting.received)) {
      this.#session.goOn(greeting);
      this.#establish(true);
    } else {
      this.#violated("it resumes what was not there");
    }
  }

  // begin begins a new session, or none. What was handed to the one before is given back,
  // as it may have arrived or not; what waits is sent after what listeners send at once.
  #begin(session) {
    const before = this.#session;
    const unsent = this.#outbox.renew();
    this.#session = session;
    this.#establish(false);
    if (before) this.dispatchEvent(new ClientEvent("lost", { unsent, uncertain: unsent.length }));
    if (session) this.#outbox.hand(this.#transmit);
    else this.#outbox.drain(this.#transmit);
  }

  // establish makes the connection an open one. In a session that goes on what waits is
  // sent before anything that a listener sends.
  #establish(resumed) {
    const now = Date.now();
    this.#openedAt = now;
    this.#pongDue = 0;
    this.#acknowledgeDue = 0;
    this.#pingDue = now + this.#options.pingInterval;
    const failures = this.#failures;
    this.#state = "open";
    this.#armLook();
    if (resumed) this.#outbox.hand(this.#transmit);
    this.#tellState();
    if (this.#state === "open") this.dispatchEvent(new ClientEvent("open", { failures, resumed }));
  }

  // --- open

  // A socket that is being closed by the other side takes messages and drops them.
  #canSend() {
    return this.#state === "open" && this.#socket.readyState === isOpen;
  }

  // transmit hands a message to the socket, or says false.
  #transmit = (data, size) => {
    if (!this.#canSend()) return false;
    this.#socket.send(this.#session ? wire(data) : data);
    if (this.#session) this.#passed(size);
    return true;
  };

  #received(data) {
    this.#pongDue = 0; // whatever comes shows that the connection lives
    this.#rechecked = false;
    if (this.#options.resume && this.#socket.protocol === resumable) this.#receivedInSession(data);
    else this.#deliver(data);
  }

  #deliver(data) {
    if (data !== pong) this.dispatchEvent(new ClientEvent("message", { data }));
  }

  // A message is counted before it is delivered, whatever its listeners do.
  #receivedInSession(received) {
    let message;
    try {
      message = read(received);
    } catch (error) {
      this.#violated(error.message);
      return;
    }
    const { data, greeting, acknowledged } = message;
    if (this.#state === "connecting") {
      if (greeting) this.#greeted(greeting);
      else this.#violated("it does not greet");
    } else if (greeting) this.#violated("it greets twice");
    else if (acknowledged !== undefined) this.#acknowledged(acknowledged);
    else if (data !== undefined) {
      this.#session.received++;
      this.#passed(typeof data === "string" ? data.length : (data.byteLength ?? data.size));
      this.#deliver(data);
    }
  }

  // --- acknowledgements

  // passed is about a message of either side.
  #passed(bytes) {
    if (this.#session.passed(bytes)) {
      this.#acknowledge();
    } else if (!this.#acknowledgeDue && this.#state === "open") {
      this.#acknowledgeDue = Date.now() + acknowledgeAfter;
      this.#armLook();
    }
  }

  // acknowledge says what has come. The gateway answers with what it has got: an answer
  // is awaited if that is anything of ours.
  #acknowledge() {
    this.#acknowledgeDue = 0;
    if (!this.#canSend()) return;
    this.#socket.send(this.#session.acknowledgement());
    if (this.#outbox.handed > 0 && !this.#pongDue) this.#awaitAnswer(this.#options.pongTimeout);
    this.#armLook();
  }

  #acknowledged(n) {
    if (!this.#outbox.acknowledge(n)) this.#violated("it acknowledges what was not sent");
    else if (this.#state === "closing" && this.#outbox.handed === 0) this.#socket.close(...this.#goodbye);
  }

  // violated ends the connection, and the session with it: to go on could lose or double
  // messages in silence.
  #violated(how) {
    this.#session?.giveUp();
    this.#lost(`the gateway breaks the rules of ${resumable}: ${how}`);
  }

  // --- watching

  // A clock that was set back puts nothing off: what is due is no further away than at first.
  #armLook() {
    const now = Date.now();
    const { pingInterval, pongTimeout, checkTimeout } = this.#options;
    this.#pingDue = Math.min(this.#pingDue, now + pingInterval);
    if (this.#pongDue) this.#pongDue = Math.min(this.#pongDue, now + Math.max(pongTimeout, checkTimeout, signsWithin));
    if (this.#acknowledgeDue) this.#acknowledgeDue = Math.min(this.#acknowledgeDue, now + acknowledgeAfter);
    const due = Math.min(this.#pingDue, this.#pongDue || Infinity, this.#acknowledgeDue || Infinity);
    this.#alarm.set(Math.max(0, Math.min(due - now, lookEvery)), (drift) => this.#look(drift));
  }

  #look(drift) {
    const now = Date.now();
    if (Math.abs(drift) > maxDrift) {
      this.#awoke();
      return;
    }
    if (this.#pongDue && now >= this.#pongDue && !this.#uploading(now)) {
      this.#lost("no pong in time");
      return;
    }
    if (now >= this.#pingDue) this.#ping(this.#options.pongTimeout);
    else if (this.#acknowledgeDue && now >= this.#acknowledgeDue) this.#acknowledge();
    this.#armLook();
  }

  // While a long message leaves, the ping is behind it.
  #uploading(now) {
    const waiting = this.#socket.bufferedAmount;
    if (!(waiting > 0 && waiting < this.#backlog)) return false;
    this.#backlog = waiting;
    this.#pongDue = now + this.#options.pongTimeout;
    return true;
  }

  // After sleep a pong may be there but not yet delivered, so a missing one gets a second
  // chance; where timers are always late (a hidden page) not a third.
  #awoke() {
    if (this.#pongDue && this.#rechecked) {
      this.#lost("no pong in time");
      return;
    }
    this.#rechecked = this.#pongDue !== 0;
    this.#pongDue = 0;
    this.#checkOpen();
  }

  #checkOpen() {
    const timeout = Math.max(this.#options.checkTimeout, this.#session ? signsWithin : 0);
    if (this.#pongDue && this.#pongDue <= Date.now() + timeout) return; // on its way already
    this.#ping(timeout);
    this.#armLook();
  }

  // In a session an acknowledgement takes the place of the ping: it is answered too.
  #ping(timeout) {
    this.#pingDue = Date.now() + this.#options.pingInterval;
    this.#acknowledgeDue = 0;
    if (this.#canSend()) this.#socket.send(this.#session?.acknowledgement() ?? ping);
    this.#awaitAnswer(timeout);
  }

  #awaitAnswer(timeout) {
    const due = Date.now() + timeout;
    if (!this.#pongDue || this.#pongDue > due) this.#pongDue = due;
    this.#backlog = this.#socket.bufferedAmount;
  }

  // --- ended

  #lost(reason, answer = {}) {
    this.#drop();
    this.#ended({ code: 1006, reason, wasClean: false, ...answer });
  }

  // drop lets go of a socket without waiting for the other side. A browser's says good-bye
  // when it is closed, and a good-bye ends the session if it arrives after all: until the
  // gateway has another connection the socket is left as it is.
  #drop() {
    this.#turn++;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    if (typeof socket.terminate === "function") socket.terminate();
    else if (this.#session?.token && socket.readyState === isOpen) this.#abandoned = socket;
    else socket.close();
  }

  #releaseAbandoned(...how) {
    this.#abandoned?.close(...how);
    this.#abandoned = null;
  }

  #ended(how) {
    const turn = ++this.#turn;
    this.#socket = null;
    this.#alarm.clear();
    if (this.#state === "closing") {
      this.#finish(how);
      return;
    }
    const opened = this.#state === "open";
    if (opened && Date.now() - this.#openedAt >= this.#options.stableAfter) this.#failures = 0;
    this.#failures++;
    this.#retryDue = Infinity;
    this.#setState("waiting");
    if (turn === this.#turn) this.#decide({ ...how, opened, failures: this.#failures }, turn);
  }

  #decide(end, turn) {
    const { retry } = this.#options;
    if (!retry) {
      this.#follow(end, usual(end));
      return;
    }
    Promise.resolve(end)
      .then(retry)
      .catch((error) => console.error("ws-gateway-client: option retry has failed, the usual rules apply:", error))
      .then((answer) => turn === this.#turn && this.#follow(end, answer ?? usual(end)));
  }

  #follow(end, answer) {
    if (answer === false) {
      this.#finish(end);
      return;
    }
    const asked = Math.min(Math.max(0, Number(answer) || 0), longestTimer);
    const { least, delay } = typeof answer === "number"
      ? { least: asked, delay: asked }
      : wait(end, this.#options, this.#options.random);
    const now = Date.now();
    this.#notBefore = now + least;
    this.#armRetry(now + delay);
    this.dispatchEvent(new ClientEvent("reconnecting", { ...end, delay }));
  }

  #armRetry(due) {
    this.#retryDue = due;
    const delay = Math.min(Math.max(0, due - Date.now()), longestTimer);
    this.#alarm.set(delay, () => this.#connect());
  }

  // hurry shortens the wait when somebody looks or the network is back, but neither below
  // what was asked for, nor to a series of attempts by a series of looks.
  #hurry() {
    if (globalThis.navigator?.onLine === false) return;
    if (Date.now() < this.#triedAt) return; // the clock was set back: only the timer knows how long is left
    const earliest = Math.max(this.#notBefore, this.#triedAt + this.#options.backoffBase);
    if (this.#retryDue !== Infinity && earliest < this.#retryDue) this.#armRetry(earliest);
  }

  #finish(how) {
    this.#alarm.clear();
    this.#stopListening();
    this.#releaseAbandoned();
    const uncertain = this.#outbox.handed;
    const unsent = this.#outbox.empty();
    this.#setState("closed");
    this.dispatchEvent(new ClientEvent("close", { ...how, unsent, uncertain }));
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tellState();
  }

  #tellState() {
    this.dispatchEvent(new ClientEvent("state", { state: this.#state }));
  }
}
