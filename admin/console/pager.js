// Pages of a list that follow one another by cursors.

// pager wires the buttons of a list. find resolves to a page, which has the cursor of the
// page after it, if there is one; show shows it, with its number. It returns what shows
// the first page.
export function pager({ first, next, reload }, find, show, failed) {
  let from; // cursor of the page that is shown
  let after; // cursor of the page after it
  let shown = 0; // pages, up to this one
  const load = async (cursor, number) => {
    try {
      const page = await find(cursor);
      [from, after, shown] = [cursor, page.cursor, number];
      show(page, number);
    } catch (e) {
      failed(e);
    }
    if (!after && document.activeElement === next) first.focus(); // a disabled button loses the focus
    next.disabled = !after;
  };
  const begin = () => load(undefined, 1);
  first.onclick = begin;
  next.onclick = () => load(after, shown + 1);
  reload.onclick = () => load(from, shown);
  return begin;
}
