// Small means to keep elements in step with what is to be shown. Elements are used
// again, so that the page does not grow and keeps its focus.

export const $ = (selector, within = document) => within.querySelector(selector);

export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function attribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// element makes an element of a tag and a class, with children or texts.
export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

// list gives parent a child for each item, in their order.
export function list(parent, items, keyOf, make, fill) {
  const old = new Map();
  const used = new Set();
  for (const child of parent.children) old.set(child.dataset.key, child);
  let at = parent.firstElementChild;
  for (const item of items) {
    let key = keyOf(item);
    while (used.has(key)) key += '+';
    used.add(key);
    let node = old.get(key);
    if (!node) {
      node = make(item);
      node.dataset.key = key;
    }
    old.delete(key);
    fill(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const node of old.values()) node.remove();
}

// facts gives a <dl> the pairs whose value is not empty.
export function facts(dl, pairs) {
  const parts = pairs.filter(([, value]) => value !== '')
    .flatMap(([name, value]) => [{ tag: 'dt', name, text: name }, { tag: 'dd', name, text: value }]);
  list(dl, parts, (part) => `${part.tag} ${part.name}`, (part) => element(part.tag), (node, part) => set(node, part.text));
}

const svg = 'http://www.w3.org/2000/svg';

// sparkline makes an empty one.
export function sparkline() {
  const node = document.createElementNS(svg, 'svg');
  node.setAttribute('class', 'spark');
  node.setAttribute('viewBox', '0 0 120 24');
  node.setAttribute('preserveAspectRatio', 'none');
  node.setAttribute('aria-hidden', 'true'); // the numbers are beside it
  const line = document.createElementNS(svg, 'polyline');
  line.setAttribute('vector-effect', 'non-scaling-stroke');
  node.append(line);
  return node;
}

// draw shows values, the newest at the right.
export function draw(node, values) {
  const most = Math.max(...values, Number.MIN_VALUE);
  const points = values.map((value, k) => `${120 - values.length + k},${(23 - (22 * value) / most).toFixed(1)}`);
  attribute(node.firstChild, 'points', points.join(' '));
}
