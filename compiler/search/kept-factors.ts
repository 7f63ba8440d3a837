import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { QuantizedSource } from "../ir/steps.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import type { FactorSource } from "../pack/weights.js";
import { temporaryFolder } from "../support/temporary.js";

/**
 * Matrices at few bits in a folder of temporary files: plans that are measured one after another have most of their
 * forms in common, and the build has those of the chosen one. All factors must come from the same model and statistics.
 */
export class KeptFactors {
  private readonly kept = new Set<string>();

  private constructor(readonly folder: string) {}

  static async open(): Promise<KeptFactors> {
    return new KeptFactors(await temporaryFolder("factors"));
  }

  /** The same factors; of each matrix at few bits, what was made first, by whichever source. Others are made anew. */
  of(factors: FactorSource): FactorSource {
    return {
      basis: (input, k) => factors.basis(input, k),
      image: (linear, k) => factors.image(linear, k),
      quantized: (source) => this.quantized(source, factors),
    };
  }

  private async quantized(source: QuantizedSource, factors: FactorSource): Promise<QuantizedLinear> {
    const name = createHash("sha256").update(JSON.stringify(source)).digest("hex").slice(0, 40);
    const file = join(this.folder, name);
    if (this.kept.has(name)) return deserialize(await readFile(file)) as QuantizedLinear;
    const made = await factors.quantized(source);
    await writeFile(file, serialize(made));
    this.kept.add(name);
    return made;
  }

  /** Removes the files. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
