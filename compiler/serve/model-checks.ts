/** What of a request must fit the model. Each function throws an `ApiError` that says what does not. */

import type { Model } from "../load.js";
import { ApiError, badField, shown } from "./errors.js";

/** 404 unless the model has this name. */
export function requireModel({ info }: Model, name: string): void {
  if (name === info.name) return;
  const message = `there is no model ${JSON.stringify(shown(name))}; this server has ${info.name}`;
  throw new ApiError(404, message, { code: "model_not_found", param: "model" });
}

/** 400 unless the vocabulary has this token; `param` is the field that it comes from. */
export function requireId({ info }: Model, id: number, param: string): void {
  if (id >= info.vocabulary)
    throw badField(param, `there is no token ${id}; ids end at ${info.vocabulary - 1}`);
}

/** 400 unless there is a prompt, of the vocabulary's tokens, and room for one behind it. */
export function requireRoom(model: Model, prompt: Int32Array, param: string): void {
  const { context } = model.info;
  if (prompt.length === 0) throw badField(param, "the prompt is empty");
  for (const id of prompt) requireId(model, id, param);
  if (prompt.length < context) return;
  const message = `the prompt has ${prompt.length} tokens, and the model's context is ${context}, the answer included`;
  throw badField(param, message, "context_length_exceeded");
}
