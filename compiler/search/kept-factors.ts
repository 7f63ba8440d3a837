import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { ValueId } from "../ir/graph.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import type { FactorSource } from "../pack/weights.js";
import { temporaryFolder } from "../support/temporary.js";

/**
 * Keeps what was quantised in a folder of temporary files: plans that are measured one after another have most of their
 * forms in common. Other factors are made anew.
 */
export class KeptFactors implements FactorSource {
  private readonly kept = new Set<string>();

  private constructor(
    private readonly factors: FactorSource,
    private readonly folder: string,
  ) {}

  static async open(factors: FactorSource): Promise<KeptFactors> {
    return new KeptFactors(factors, await temporaryFolder("factors"));
  }

  basis(input: ValueId, k: number): Promise<Float32Array> {
    return this.factors.basis(input, k);
  }

  image(linear: ValueId, k: number): AsyncIterable<Float32Array> {
    return this.factors.image(linear, k);
  }

  async quantized(source: QuantizedSource): Promise<QuantizedLinear> {
    const name = createHash("sha256").update(JSON.stringify(source)).digest("hex").slice(0, 40);
    const file = join(this.folder, name);
    if (this.kept.has(name)) return deserialize(await readFile(file)) as QuantizedLinear;
    const made = await this.factors.quantized(source);
    await writeFile(file, serialize(made));
    this.kept.add(name);
    return made;
  }

  /** Removes the files. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
