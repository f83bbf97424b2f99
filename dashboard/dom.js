// Elements, made and changed. Text goes in as text, whatever it says.

export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** Make an element; children are elements or text. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Change text only where it differs, so that nothing is announced or deselected for nothing. */
export function setText(node, text) {
  const wanted = text ?? "";
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/**
 * Bring a list up to date: elements of items that stay are kept, with focus and selection.
 * @param make gets nothing and returns an empty element
 * @param update gets the element and the item
 */
export function keepList(parent, items, keyOf, makeOne, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child === undefined) {
      child = makeOne(item);
      child.dataset.key = key;
    }
    known.delete(key);
    update(child, item);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  for (const child of known.values()) child.remove();
}

/** Text that says how long ago something was; `tickAges` keeps it true. */
export function age(iso, before = "", after = " ago") {
  return make("span", { "data-since": iso, "data-before": before, "data-after": after });
}
