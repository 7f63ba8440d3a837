/** What the server puts into the page: chat-page.ts. */
declare const served: {
  readonly model: string;
  readonly mode: string;
  /** False: the model has no chat template, and goes on with a text instead. */
  readonly chat: boolean;
  readonly context: number;
};

/** A token of an answer, and how likely it and the likeliest ones were (natural logarithms). */
interface ShownToken {
  readonly text: string;
  readonly logprob: number;
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

/** What is counted of an answer. */
interface Usage {
  readonly completion_tokens: number;
  readonly completion_tokens_details?: {
    readonly accepted_prediction_tokens: number;
    readonly rejected_prediction_tokens: number;
  };
}

/** A part of an answer as it comes. */
interface AnswerPart {
  readonly text: string;
  readonly tokens: readonly ShownToken[];
  readonly usage?: Usage;
  readonly finish?: string;
}

interface Message {
  readonly role: "user" | "assistant";
  text: string;
  tokens: ShownToken[];
  /** What is said below it. */
  note: string;
  state: "done" | "running" | "stopped" | "failed";
}

interface ChatSettings {
  system: string;
  temperature: number;
  topP: number;
  maxTokens: number | null;
  seed: number | null;
  alternatives: boolean;
  key: string;
}
