// A table of buttons with a roving tabindex: the Tab key reaches one of them, and arrow keys
// move on from there.

const buttons = (within) => [...within.querySelectorAll("button")];

// rove makes current the button that Tab reaches, or the first button if there is none.
export function rove(body, current) {
  const all = buttons(body);
  for (const b of all) b.tabIndex = -1;
  const one = current ?? all[0];
  if (one) one.tabIndex = 0;
}

// keys listens to the arrow keys in body. Each of its rows has the same buttons.
export function keys(body) {
  body.addEventListener("focusin", (event) => {
    if (event.target.matches("button")) rove(body, event.target);
  });
  body.addEventListener("keydown", (event) => {
    const to = event.target.matches("button") && target(body, event);
    if (!to) return;
    event.preventDefault();
    to.focus();
  });
}

function target(body, event) {
  const row = event.target.closest("tr");
  const own = buttons(row);
  const at = own.indexOf(event.target);
  const rows = [...body.rows];
  const inRow = (tr) => tr && buttons(tr)[at];
  switch (event.key) {
    case "ArrowLeft": return own[at - 1];
    case "ArrowRight": return own[at + 1];
    case "ArrowUp": return inRow(row.previousElementSibling);
    case "ArrowDown": return inRow(row.nextElementSibling);
    case "Home": return inRow(rows[0]);
    case "End": return inRow(rows.at(-1));
    default: return undefined;
  }
}
