import { GsicError, messageOf } from "./errors.js";

const next = {
  data: "build the model again: gsic build <model.toml>",
  usage: "change what was asked for; gsic help <command> shows the options",
  environment: "gsic doctor says what this machine has",
} as const;

/** What a status of gsic.h is, by who can put it right; others are defects. */
const categories: Readonly<Record<string, keyof typeof next>> = {
  GSIC_BAD_BUNDLE: "data",
  GSIC_IO: "data",
  GSIC_INVALID_ARGUMENT: "usage",
  GSIC_CONTEXT_FULL: "usage",
  GSIC_NO_TOKENIZER: "usage",
  GSIC_NO_DEVICE: "environment",
  GSIC_OUT_OF_MEMORY: "environment",
  GSIC_DEVICE_LOST: "environment",
};

/** An error of the runtime, whose `code` is a status of gsic.h, as one for people; null for any other. */
export function runtimeError(cause: unknown, where?: string): GsicError | null {
  const code = (cause as { readonly code?: unknown } | null)?.code;
  if (typeof code !== "string" || !Object.hasOwn(categories, code)) return null;
  const category = categories[code]!;
  return new GsicError({
    category,
    code: code.slice("GSIC_".length).toLowerCase().replaceAll("_", "-"),
    message: messageOf(cause),
    ...(where === undefined ? {} : { where }),
    hint: next[category],
    cause,
  });
}
