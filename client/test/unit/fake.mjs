// A WebSocket and a clock in the hands of the test.

import { Client } from "ws-gateway-client";

export const ping = '{"event":"ping","data":{}}';
export const pong = '{"event":"pong"}';

// given makes a client whose sockets are fake, and whose time goes on by pass alone.
// random gives the jitter.
export function given(t, { url = "ws://gateway.test/ws", random = 1, ...options } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const sockets = [];
  class FakeSocket extends EventTarget {
    readyState = 0;
    bufferedAmount = 0;
    protocol = "";
    sent = [];
    closedWith = null;

    constructor(...given) {
      super();
      if (world.broken) throw new Error(world.broken);
      this.given = given;
      sockets.push(this);
    }
    send(data) {
      this.sent.push(data);
    }
    close(...how) {
      this.readyState = 2;
      this.closedWith ??= how; // a second one does nothing
    }
    accept(protocol = "") {
      this.protocol = protocol;
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    }
    receive(data) {
      this.dispatchEvent(Object.assign(new Event("message"), { data }));
    }
    end(code = 1006, reason = "", wasClean = code !== 1006) {
      this.readyState = 3;
      this.dispatchEvent(Object.assign(new Event("close"), { code, reason, wasClean }));
    }
  }
  const world = { broken: "" }; // a reason makes the next socket's constructor throw
  const client = new Client(url, { WebSocket: FakeSocket, random: () => random, ...options });
  const events = [];
  for (const type of ["open", "message", "reconnecting", "lost", "close", "state"]) client.addEventListener(type, (e) => events.push(e));
  t.after(() => client.close());
  return {
    set broken(reason) { world.broken = reason; },
    client,
    sockets,
    events,
    get socket() { return sockets.at(-1); },
    last: (type) => events.findLast((e) => e.type === type),
    all: (type) => events.filter((e) => e.type === type),
    // pass lets time go by in small steps, so that each timer fires at its moment.
    pass(ms) {
      for (let left = ms; left > 0; left -= 100) t.mock.timers.tick(Math.min(100, left));
    },
    // sleep is one step: all timers in it fire late.
    sleep: (ms) => t.mock.timers.tick(ms),
  };
}

// settle lets promises run that are ready.
export const settle = () => new Promise((resolve) => setImmediate(resolve));
