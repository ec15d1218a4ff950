// Shows new content in place of old: what did not change keeps its focus and its scroll position.

const waiting = new Map();  // box -> its newest content, while text in the box is selected

/** Make `box` hold `fresh`. A box in which the user has selected text is left alone until the selection ends. */
export function redraw(box, ...fresh) {
  if (isSelected(box)) { waiting.set(box, fresh); return; }
  waiting.delete(box);
  const holder = document.createElement("div"), open = [...box.querySelectorAll("details")].map((details) => details.open);
  holder.append(...fresh);
  holder.querySelectorAll("details").forEach((details, i) => { details.open = open[i] ?? false; });
  replace(box, [...holder.childNodes]);
}

document.addEventListener("selectionchange", () => { for (const [box, fresh] of [...waiting]) redraw(box, ...fresh); });

function isSelected(box) {
  const selection = getSelection();
  return !selection.isCollapsed && box.contains(selection.anchorNode);
}

function replace(parent, fresh) {
  const old = [...parent.childNodes];
  for (const node of old.slice(fresh.length)) node.remove();
  fresh.forEach((node, i) => (i < old.length ? renew(old[i], node) : parent.append(node)));
}

/** Replace only the parts of `old` that differ from `fresh`. */
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.cloneNode(false).isEqualNode(fresh.cloneNode(false))) replace(old, [...fresh.childNodes]);
  else old.replaceWith(fresh);
}
