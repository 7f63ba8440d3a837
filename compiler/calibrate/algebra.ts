import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { buildRuntime } from "../cc/index.js";

/** The arrays that an answer may hold. */
export interface ArrayOf {
  readonly f32: Float32Array;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
}

/** Element types of the arrays in an answer. */
export type ArrayKind = keyof ArrayOf;

/** An answer: what its header says, and its arrays. */
export interface AlgebraAnswer {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly arrays: readonly ArrayOf[ArrayKind][];
}

const constructors = { f32: Float32Array, u8: Uint8Array, i8: Int8Array } as const;

/** Inputs of a linear under subspaces of several k, token by token: r = x - V V^T x with the first k columns of V. */
export interface SubspaceSurvey {
  /** ||x||^2, [n]. */
  readonly squaredNorms: Float32Array;
  /** For each k: rho = ||r|| / ||x||, 0 where x is 0, and ||W r||^2, [n] each. */
  readonly subspaces: readonly {
    readonly k: number;
    readonly rho: Float32Array;
    readonly errors: Float32Array;
  }[];
}

/** A path's error E on inputs of a linear, token by token, [n] each. */
export interface TierSurvey {
  /** ||E x||^2. */
  readonly errors: Float32Array;
  /** ||S x||^2, with S random projections of E. */
  readonly projected: Float32Array;
  /** ||x||^2. */
  readonly squaredNorms: Float32Array;
}

/** What the linear algebra has against the numbers that it was given. */
export class AlgebraError extends Error {}

/**
 * Numerical linear algebra by OpenBLAS and LAPACK, in a child process: `gsic-tool linalg`, whose protocol stands in
 * runtime/tools/linalg.cpp. Requests are answered one after another. Matrices are f32, row by row; eigenvectors are
 * orthonormal, or an error. Throws `AlgebraError`.
 */
export class Algebra {
  private child: ChildProcessWithoutNullStreams | undefined;
  private readonly received: Buffer[] = [];
  private available = 0;
  private wake: () => void = () => {};
  private ended: string | undefined;
  private messages = "";
  private last: Promise<unknown> = Promise.resolve();

  /** `threads`: of the child; 0: all CPUs that it may use. */
  constructor(private readonly threads = 0) {}

  /** The k leading eigenvectors of a symmetric [d, d] matrix, as rows: [k, d]. */
  async eigenvectors(matrix: Float32Array, d: number, k: number): Promise<Float32Array> {
    const [, vectors] = await this.request({ op: "eigh", d, k }, [matrix], [k, k * d]);
    return vectors!;
  }

  /** The same from a Nystrom sketch: `product` [d, width] is C Omega, with Omega of that seed. */
  async nystrom(
    product: Float32Array,
    d: number,
    width: number,
    k: number,
    seed: number,
  ): Promise<Float32Array> {
    const [, vectors] = await this.request({ op: "nystrom", d, l: width, k, seed }, [product], [k, k * d]);
    return vectors!;
  }

  /** C Omega, [d, width], for a symmetric C [d, d] and the Omega of a seed. */
  async sketch(matrix: Float32Array, d: number, width: number, seed: number): Promise<Float32Array> {
    const [product] = await this.request({ op: "sketch", d, l: width, seed }, [matrix], [d * width]);
    return product!;
  }

  /** v^T C v of every row v of `vectors` [k, d]: the mean energy that each direction holds. */
  async captured(matrix: Float32Array, vectors: Float32Array, d: number): Promise<Float32Array> {
    const k = vectors.length / d;
    const [energy] = await this.request({ op: "captured", d, k }, [matrix, vectors], [k]);
    return energy!;
  }

  private async product(
    header: { m: number; n: number; k: number; transpose_a: boolean; transpose_b: boolean },
    a: Float32Array,
    b: Float32Array,
  ): Promise<Float32Array> {
    const [result] = await this.request({ op: "matmul", ...header }, [a, b], [header.m * header.n]);
    return result!;
  }

  /** A B^T for A [m, inner] and B [n, inner]: [m, n]. */
  async multiplyTransposed(
    a: Float32Array,
    b: Float32Array,
    m: number,
    n: number,
    inner: number,
  ): Promise<Float32Array> {
    const header = { m, n, k: inner, transpose_a: false, transpose_b: true };
    return this.product(header, a, b);
  }

  /** A^T B for A [inner, m] and B [inner, n]: [m, n]. */
  async transposedMultiply(
    a: Float32Array,
    b: Float32Array,
    m: number,
    n: number,
    inner: number,
  ): Promise<Float32Array> {
    const header = { m, n, k: inner, transpose_a: true, transpose_b: false };
    return this.product(header, a, b);
  }

  /** A B for A [m, inner] and B [inner, n]: [m, n]. */
  async multiply(
    a: Float32Array,
    b: Float32Array,
    m: number,
    n: number,
    inner: number,
  ): Promise<Float32Array> {
    const header = { m, n, k: inner, transpose_a: false, transpose_b: false };
    return this.product(header, a, b);
  }

  /**
   * What the subspaces of several k leave of inputs X [n, d], and what outputs lack then; `basis` is V^T, orthonormal
   * rows, at least the last of `ks`, which ascend; `weights` is W [out, d], stacked where linears share the input.
   */
  async surveySubspaces(
    inputs: Float32Array,
    basis: Float32Array,
    weights: Float32Array,
    d: number,
    ks: readonly number[],
  ): Promise<SubspaceSurvey> {
    const [n, out] = [inputs.length / d, weights.length / d];
    const header = { op: "subspace_survey", n, d, out, ks };
    const used = basis.subarray(0, ks.at(-1)! * d);
    const sizes = [n, ks.length * n, ks.length * n];
    const [squaredNorms, rho, errors] = await this.request(header, [inputs, used, weights], sizes);
    const row = (all: Float32Array, i: number) => all.subarray(i * n, (i + 1) * n);
    const subspaces = ks.map((k, i) => ({ k, rho: row(rho!, i), errors: row(errors!, i) }));
    return { squaredNorms: squaredNorms!, subspaces };
  }

  /** The error E [out, d] of a path on inputs X [n, d], and what projections S [p, d] of it tell. */
  async surveyTier(
    inputs: Float32Array,
    error: Float32Array,
    projections: Float32Array,
    d: number,
  ): Promise<TierSurvey> {
    const n = inputs.length / d;
    const header = { op: "tier_survey", n, d, out: error.length / d, projections: projections.length / d };
    const answer = await this.request(header, [inputs, error, projections], [n, n, n]);
    const [errors, projected, squaredNorms] = answer;
    return { errors: errors!, projected: projected!, squaredNorms: squaredNorms! };
  }

  /** Ends the child process. */
  async close(): Promise<void> {
    await this.last.catch(() => {});
    this.child?.stdin.end();
    this.child = undefined;
  }

  /** Any request of the protocol: its arrays in f32, and the kind and length of every array of the answer. */
  exchangeArrays(
    header: Readonly<Record<string, unknown>>,
    inputs: readonly Float32Array[],
    outputs: readonly (readonly [ArrayKind, number])[],
  ): Promise<AlgebraAnswer> {
    const answer = this.last.then(() => this.exchange(header, inputs, outputs));
    this.last = answer.catch(() => {});
    return answer;
  }

  private async request(
    header: Readonly<Record<string, unknown>>,
    inputs: readonly Float32Array[],
    outputs: readonly number[],
  ): Promise<Float32Array[]> {
    const kinds = outputs.map((count) => ["f32", count] as const);
    const { arrays } = await this.exchangeArrays(header, inputs, kinds);
    return arrays as Float32Array[];
  }

  private async exchange(
    header: Readonly<Record<string, unknown>>,
    inputs: readonly Float32Array[],
    outputs: readonly (readonly [ArrayKind, number])[],
  ): Promise<AlgebraAnswer> {
    this.child ??= await this.start();
    const child = this.child;
    child.stdin.write(`${JSON.stringify(header)}\n`);
    for (const input of inputs) {
      child.stdin.write(new Uint8Array(input.buffer as ArrayBuffer, input.byteOffset, input.byteLength));
    }
    const fields = JSON.parse(await this.readLine()) as { ok: boolean; error?: string };
    if (!fields.ok) throw new AlgebraError(fields.error ?? "no reason is given");
    const arrays: ArrayOf[ArrayKind][] = [];
    for (const [kind, count] of outputs) {
      const bytes = await this.read(count * constructors[kind].BYTES_PER_ELEMENT);
      arrays.push(new constructors[kind](Uint8Array.from(bytes).buffer));
    }
    return { fields: { ...fields }, arrays };
  }

  private async start(): Promise<ChildProcessWithoutNullStreams> {
    const child = spawn(await buildRuntime("tool"), ["linalg", "--threads", String(this.threads)]);
    child.stdout.on("data", (chunk: Buffer) => {
      this.received.push(chunk);
      this.available += chunk.length;
      this.wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.messages += text;
    });
    // A broken pipe is reported by `close`, with the child's own words.
    child.stdin.on("error", () => {});
    child.on("close", (code, signal) => {
      this.ended = `gsic-tool linalg ended with ${signal ?? code}: ${this.messages.trim()}`;
      this.wake();
    });
    return child;
  }

  private async read(bytes: number): Promise<Buffer> {
    while (this.available < bytes) await this.more();
    return this.take(bytes);
  }

  private async readLine(): Promise<string> {
    for (;;) {
      const all = Buffer.concat(this.received);
      this.received.splice(0, this.received.length, all);
      const end = all.indexOf(0x0a);
      if (end >= 0) return this.take(end + 1).toString();
      await this.more();
    }
  }

  private take(bytes: number): Buffer {
    const all = this.received.length === 1 ? this.received[0]! : Buffer.concat(this.received);
    this.received.splice(0, this.received.length, all.subarray(bytes));
    this.available -= bytes;
    return all.subarray(0, bytes);
  }

  private more(): Promise<void> {
    if (this.ended !== undefined) throw new Error(this.ended);
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}
