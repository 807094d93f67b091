// What the page does to its document. Text is always inserted as text, never as HTML.

export const $ = (id) => document.getElementById(id);

// element makes an element with properties and children. Names with a dash are attributes.
export function element(name, properties = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) e.setAttribute(key, value);
    else e[key] = value;
  }
  e.append(...children);
  return e;
}

// setText writes only changes, so that screen readers announce nothing twice.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// say shows a result, or if failed is set a failure.
export function say(e, text, failed = false) {
  e.classList.toggle("error", failed);
  setText(e, text);
}

// ask opens a dialog. Submitting its form calls act, which may throw to keep the dialog
// open; done is called when it is closed and the focus is back where it was.
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
