import type { RopeNode } from "../ir/graph.js";

/**
 * Angular frequencies of a rotary embedding, radians per position, one per pair of channels:
 * theta^(-2i / rotaryDim), scaled as the model's configuration says (Hugging Face's `rope_parameters`).
 */
export function ropeFrequencies(rope: RopeNode): Float64Array {
  const pairs = rope.rotaryDim / 2;
  return Float64Array.from({ length: pairs }, (_, i) =>
    scaled(rope.theta ** ((-2 * i) / rope.rotaryDim), i, rope),
  );
}

function scaled(frequency: number, pair: number, { scaling }: RopeNode): number {
  switch (scaling.kind) {
    case "none":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "divisors":
    case "longrope":
      return frequency / scaling.divisors[pair]!;
    case "llama3": {
      // Long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
      const wavelength = (2 * Math.PI) / frequency;
      const { originalContext, lowFrequencyFactor, highFrequencyFactor, factor } = scaling;
      if (wavelength < originalContext / highFrequencyFactor) return frequency;
      if (wavelength > originalContext / lowFrequencyFactor) return frequency / factor;
      const smooth =
        (originalContext / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
      return (1 - smooth) * (frequency / factor) + smooth * frequency;
    }
    default:
      return scaling satisfies never;
  }
}

/** What the channels that are rotated are multiplied by besides. */
export function ropeFactor({ scaling }: RopeNode): number {
  return scaling.kind === "longrope" ? scaling.attentionFactor : 1;
}

/** [positions, rotaryDim] f32: for each position the cosines of all pairs, then their sines, times `ropeFactor`. */
export function ropeTable(rope: RopeNode, positions: number): Float32Array {
  const frequencies = ropeFrequencies(rope);
  const factor = ropeFactor(rope);
  const pairs = frequencies.length;
  const table = new Float32Array(positions * 2 * pairs);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < pairs; i++) {
      const angle = position * frequencies[i]!;
      table[position * 2 * pairs + i] = factor * Math.cos(angle);
      table[position * 2 * pairs + pairs + i] = factor * Math.sin(angle);
    }
  }
  return table;
}
