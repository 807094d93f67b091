// The few things that the page does to its document. All text goes in as text.

export const $ = (id) => document.getElementById(id);

// element makes an element with properties (or, with a dash, attributes) and
// children.
export function element(name, properties = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) e.setAttribute(key, value);
    else e[key] = value;
  }
  e.append(...children);
  return e;
}

// setText writes only what has changed, so that nothing is announced again.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// say shows a result or, with failed, a failure.
export function say(e, text, failed = false) {
  e.classList.toggle("error", failed);
  setText(e, text);
}

// ask opens a dialog; its form's submission calls act, which may throw to keep it
// open, and done when the dialog is closed again and the focus back where it was.
export function ask(dialog, act, failed, done = () => {}) {
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await act();
      dialog.close();
    } catch (e) {
      return failed(e);
    }
    done();
  };
  dialog.querySelector(".cancel").onclick = () => dialog.close();
  dialog.showModal();
}
