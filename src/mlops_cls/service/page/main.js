// The page at `/`: pictures in, answers out. Each module beside this one has one subject; here they meet.

import { showDrift, showLimits, showModel } from "./about.js";
import { Problem, hasKey, info as askInfo, monitoring } from "./api.js";
import { button, byId, el } from "./dom.js";
import { downloadCsv, downloadJson } from "./download.js";
import { ofFile, ofSample } from "./entries.js";
import * as history from "./history.js";
import { listen } from "./intake.js";
import { askKey } from "./key.js";
import { Queue } from "./queue.js";
import { Progress, Results, say } from "./results.js";
import { offer } from "./samples.js";

const before = history.restore();
let info; // what is known of the model
let number = before.at(-1)?.number ?? 0; // of the newest entry

const queue = new Queue({ send: (entry, signal) => entry.send(signal), changed, askKey });
const results = new Results({ about: () => info, again: enqueue });
const progress = new Progress();

await start();

async function start() {
  const known = learn();
  listen((files) => known.then(() => take(files.map(fromFile))), complain);
  await known;
  results.add(before.reverse().map((entry) => ({ ...entry, state: "answered" })));
  listenToTools();
  if (info.key_required && !hasKey()) await askKey(new Problem("no_key", ""));
  besides(async () => showDrift(await monitoring()));
  if (info.samples > 0) besides(() => offer((sample) => take([ofSample(sample)])));
}

/** What the page can do without; but the key that is asked for first may be a wrong one. */
async function besides(load) {
  try {
    await load();
  } catch (problem) {
    if (!problem.aboutKey) return;
    await askKey(problem);
    await besides(load);
  }
}

/** Ask who the model is until it is loaded and, if that needs a key, one is given. */
async function learn() {
  while (!info) {
    try {
      info = await askInfo();
    } catch (problem) {
      await past(problem);
    }
  }
  complain("");
  showModel(info);
  showLimits(info);
}

function past(problem) {
  if (problem.aboutKey) return askKey(problem);
  complain(problem.message);
  if (problem.passes) return new Promise((resolve) => setTimeout(resolve, 1000 * (problem.wait ?? 2)));
  return new Promise((resolve) => byId("trouble").append(button("Try again", resolve)));
}

function fromFile(file) {
  return ofFile(file, info.limits, (entry) => results.update(entry));
}

function take(entries) {
  complain("");
  number += entries.length; // the higher one stands first, also after a reload
  entries.forEach((entry, i) => (entry.number = number - i));
  results.add(entries.map((entry) => Object.assign(entry, { state: "waiting" })));
  enqueue(entries);
  byId("answers").firstChild.scrollIntoView({ block: "nearest" });
}

function enqueue(entries) {
  queue.add(entries);
  progress.add(entries);
}

function changed(entry) {
  results.update(entry);
  progress.update();
  if (entry.state !== "answered") return;
  history.save(entry);
  if (entry.version !== info.model_version) renew();
}

/** Another model answers than did before: the service was started anew. */
async function renew() {
  info = await askInfo().catch(() => info);
  showModel(info);
  for (const entry of results.entries) results.update(entry); // they now say that another one answered
}

function complain(text) {
  byId("trouble").replaceChildren(...(text ? [el("p", {}, text)] : []));
}

function listenToTools() {
  byId("cancel").onclick = () => queue.cancel();
  byId("csv").onclick = () => downloadCsv(results.entries, info);
  byId("json").onclick = () => downloadJson(results.entries, info);
  byId("clear").onclick = clear;
}

function clear() {
  results.clear();
  queue.cancel();
  history.clear();
  byId("files").focus();
  say("All answers are cleared.");
}
