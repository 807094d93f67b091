// What a browser says when a page may have slept, or its network has changed. Node
// and other places without these events are silent.

// onWake calls look after each such moment, until the function that it returns is called.
export function onWake(look) {
  const listening = [];
  const listen = (target, type, listener) => {
    if (typeof target?.addEventListener !== "function") return;
    target.addEventListener(type, listener);
    listening.push(() => target.removeEventListener(type, listener));
  };
  const page = globalThis.document;
  listen(page, "visibilitychange", () => page.visibilityState === "visible" && look());
  listen(page, "resume", look); // the page was frozen
  for (const type of ["pageshow", "online", "offline"]) listen(globalThis, type, look);
  return () => {
    for (const stop of listening) stop();
  };
}
