/** Forms, as a graph.ts says them: a word for which parts there are, a gate, a tier, both or neither, and their fields. */

import type { LinearNode } from "../ir/graph.js";
import {
  bitWidths,
  type ErrorGate,
  type Form,
  type QuantizedTier,
  type Quantizer,
  type SubspaceGate,
} from "../ir/plan.js";
import { type Codec, flag, integer, oneOf, within } from "./codec.js";
import { type FieldCodecs, optional, parseProperties, printProperties, spelledOut } from "./codec-fields.js";
import { object } from "./codec-objects.js";
import { Call } from "./parse-fields.js";

/** What a form is for: k and ranks are below its d. */
type Linear = Pick<LinearNode, "weight">;

const gate = {
  k: within<Linear>({
    code: "k-range",
    holds: (k, { weight }) => Number.isSafeInteger(k) && k >= 1 && k < weight.d,
    wrong: ({ weight }) => `is not a positive integer below d = ${weight.d}`,
    hint: "give a smaller k, or make the linear `dense`",
  }),
  epsilon: within({
    code: "epsilon-range",
    holds: (epsilon) => epsilon > 0 && epsilon <= 1,
    wrong: () => "is out of range",
    hint: "epsilon bounds ||residual|| / ||x||: above 0 and at most 1",
  }),
} satisfies FieldCodecs<SubspaceGate, Linear>;

const errorGate = {
  projections: integer(1),
  threshold: within({
    code: "threshold-range",
    holds: (threshold) => threshold > 0,
    wrong: () => "is out of range",
    hint: "it bounds ||S x|| / ||x||: above 0",
  }),
} satisfies FieldCodecs<ErrorGate>;

type WrittenTier = Quantizer & Omit<QuantizedTier, "quantizer">;

const tier = {
  bits: oneOf("quantizer-range", bitWidths),
  group: oneOf("quantizer-range", [32, 64, 128]),
  symmetric: spelledOut(flag, true),
  rank: spelledOut(
    within<Linear>({
      code: "rank-range",
      holds: (rank, { weight }) =>
        Number.isSafeInteger(rank) && rank >= 0 && rank < weight.d && rank % 4 === 0,
      wrong: ({ weight }) => `is not a multiple of 4 from 0 to below d = ${weight.d}`,
      hint: "give e.g. 16",
    }),
    0,
  ),
  exact: optional(object<ErrorGate>(errorGate), null),
} satisfies FieldCodecs<WrittenTier, Linear>;

const written = ({ quantizer, ...rest }: QuantizedTier): WrittenTier => ({ ...quantizer, ...rest });
const unwritten = ({ bits, group, symmetric, rank, exact }: WrittenTier): QuantizedTier => ({
  quantizer: { bits, group, symmetric },
  rank,
  exact,
});

/**
 * The words for forms, each with the fields of the parts that its forms have; a word of no parts is not called. Nothing
 * else in this room knows how a form is kept.
 */
export const formWords = {
  dense: { gate: null, tier: null },
  gated: { gate, tier: null },
  tiered: { gate: null, tier },
  gatedTiered: { gate, tier },
} as const;

type FormWord = keyof typeof formWords;

const known = Object.keys(formWords) as FormWord[];
const called = known.filter((word) => word !== "dense");

/** The word for a form: the one of its parts. */
export function formWord(form: Form): FormWord {
  const { gate, tier } = form;
  const has = (word: FormWord, part: "gate" | "tier") => formWords[word][part] !== null;
  return known.find(
    (word) => has(word, "gate") === (gate !== null) && has(word, "tier") === (tier !== null),
  )!;
}

/** A word for a form, called with the properties of its parts. Throws `graph-*-range`. */
export const form: Codec<Form, Linear> = {
  print: (value, printer) => {
    const properties = [
      ...(value.gate === null ? [] : printProperties<SubspaceGate>(gate, value.gate, printer)),
      ...(value.tier === null ? [] : printProperties<WrittenTier>(tier, written(value.tier), printer)),
    ];
    const word = formWord(value);
    return properties.length === 0 ? word : `${word}({ ${properties.join(", ")} })`;
  },
  parse: (field, linear) => {
    if (field.isName("dense")) return { gate: null, tier: null };
    const expression = field.call(...called);
    const parts = formWords[expression.function as FormWord];
    const keys = Object.keys({ ...parts.gate, ...parts.tier });
    const options = new Call(field.scope, expression, [], true).options(keys);
    return {
      gate: parts.gate && parseProperties<SubspaceGate, Linear>(parts.gate, options, linear),
      tier: parts.tier && unwritten(parseProperties<WrittenTier, Linear>(parts.tier, options, linear)),
    };
  },
};
