/**
 * A thread that renders one chat template, for read/template-renderer.ts: a template is a program of the model's
 * author, and may take for ever. Says that it is ready; then receives { variables }, and answers { text } or { error }.
 */

import { parentPort, workerData } from "node:worker_threads";
import { Template } from "@huggingface/jinja";

const template = new Template(workerData.source);

parentPort.on("message", ({ variables }) => {
  try {
    parentPort.postMessage({ text: template.render(variables) });
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
parentPort.postMessage("ready");
