// The ways in: chosen, photographed, dropped (folders too), pasted. Each ends in `take(files)`.

import { byId } from "./dom.js";

export function listen(take, complain) {
  for (const input of [byId("files"), byId("camera")]) input.addEventListener("change", () => chosen(input, take));
  byId("intake").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("paste", (event) => pasted(event, take, complain));
  listenToDrops(take, complain);
}

function chosen(input, take) {
  const files = [...input.files];
  input.value = ""; // the same file may be chosen again
  if (files.length) take(files);
}

function pasted(event, take, complain) {
  if (event.target.closest?.("input, select")) return;
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) take(files);
  else complain("There is no picture in the clipboard. Copy the picture itself, not its address.");
}

/** A picture may be dropped anywhere: beside the zone, a browser would leave the page to show it. */
function listenToDrops(take, complain) {
  let within = 0;
  const show = () => byId("zone").classList.toggle("over", within > 0);
  const on = (name, handle) =>
    document.addEventListener(name, (event) => {
      event.preventDefault();
      handle(event);
      show();
    });
  on("dragenter", () => within++);
  on("dragleave", () => within--);
  on("dragover", (event) => (event.dataTransfer.dropEffect = "copy"));
  on("drop", (event) => {
    within = 0;
    dropped(event.dataTransfer, take, complain);
  });
}

async function dropped(transfer, take, complain) {
  // Items are gone once this function waits for anything.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const found = items.map((item) => folderOf(item) ?? item.getAsFile());
  const files = (await Promise.all(found.map(filesWithin))).flat().filter(Boolean);
  if (files.length) take(files);
  else complain("No picture was in what you dropped. Drop files of pictures, or a folder of them.");
}

function folderOf(item) {
  const entry = item.webkitGetAsEntry?.();
  return entry?.isDirectory ? entry : null;
}

async function filesWithin(entry) {
  if (entry === null || entry instanceof File) return [entry];
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) return [await new Promise((resolve) => entry.file(resolve, () => resolve(null)))];
  const inside = await listed(entry.createReader());
  return (await Promise.all(inside.map(filesWithin))).flat();
}

/** A reader gives a folder in portions, and an empty one at its end. */
async function listed(reader) {
  const all = [];
  for (;;) {
    const portion = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!portion.length) return all;
    all.push(...portion);
  }
}
