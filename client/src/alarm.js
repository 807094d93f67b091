// A timer for one moment that knows by how much it missed it. A page that was frozen,
// a machine that slept and a clock that was set all show as a large drift.

export class Alarm {
  #timer;

  // set forgets what was set before. ring is called with the drift in milliseconds,
  // by the wall clock: monotonic ones stand still while some systems sleep.
  set(delay, ring) {
    this.clear();
    const due = Date.now() + delay;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      ring(Date.now() - due);
    }, delay);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
