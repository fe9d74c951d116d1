/* What all scripts share: elements, embedded values, the state of a section. */

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const element = (tag, text, ...children) => {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
};
const marked = (made, attributes) => {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

const inflate = async (text) => {
  const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const texts = new Map(); // id -> JSON, inflated at the start
const read = (id) => JSON.parse(texts.get(id) ?? document.getElementById(id).textContent);

const known = new Map(); // what is known of a section's trials is read once
const sectionOf = (inside) => inside.closest("section.run");
const cards = (section) => {
  const id = section.dataset.cards;
  return known.get(id) ?? known.set(id, read(id)).get(id);
};

const say = (words) => { document.getElementById("said").textContent = words; };
