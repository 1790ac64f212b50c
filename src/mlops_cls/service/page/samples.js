// A few pictures of the test split, in another order each time.

import { sampleImage, samples } from "./api.js";
import { button, byId, el } from "./dom.js";
import { preview } from "./preview.js";

const SHOWN = 6;

/** Offer some; `take(sample)` is called with the id, the preview and a name of the one that was chosen. */
export async function offer(take) {
  const all = shuffled(await samples());
  byId("other-samples").hidden = all.length <= SHOWN;
  byId("other-samples").onclick = () => {
    all.push(...all.splice(0, SHOWN));
    show(all, take);
  };
  await show(all, take);
}

async function show(all, take) {
  const items = await Promise.allSettled(all.slice(0, SHOWN).map(({ id }) => item(id, take)));
  const shown = items.flatMap(({ value }) => value ?? []); // a service that is busy has better things to do
  byId("sample-list").replaceChildren(...shown);
  byId("samples").hidden = !shown.length;
}

async function item(id, take) {
  const shown = await preview(await sampleImage(id), Infinity);
  const name = `Sample ${id}`;
  const small = Math.max(shown.width, shown.height) <= 96;
  const image = el("img", { src: shown.url, alt: "", class: small && "small", draggable: "false" });
  const choose = button(image, () => take({ id, name, preview: shown }), { "aria-label": `Classify sample ${id}` });
  return el("li", {}, choose);
}

function shuffled(list) {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}
