/** The Omega [d, width] of a sketch, from its definition in runtime/tools/sketch.h. */
export function omegaOf(seed: number, d: number, width: number): Float32Array {
  const omega = new Float32Array(d * width);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < width; j += 64) {
      const word = splitMix(BigInt(seed), (BigInt(i) << 32n) + BigInt(j / 64));
      for (let bit = 0; bit < 64 && j + bit < width; bit++) {
        omega[i * width + j + bit] = (word >> BigInt(bit)) & 1n ? -1 : 1;
      }
    }
  }
  return omega;
}

/** Output `counter` of SplitMix64. */
function splitMix(seed: bigint, counter: bigint): bigint {
  const u64 = (value: bigint) => BigInt.asUintN(64, value);
  let z = u64(seed + (counter + 1n) * 0x9e3779b97f4a7c15n);
  z = u64((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = u64((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** Each row of `rows` [count, d] times the orthogonal symmetric Hadamard matrix of order d, a power of two. In place. */
export function hadamard<T extends Float64Array>(rows: T, d: number): T {
  for (let begin = 0; begin < rows.length; begin += d) {
    for (let half = 1; half < d; half *= 2) {
      for (let i = begin; i < begin + d; i += 2 * half) {
        for (let j = i; j < i + half; j++) {
          const [a, b] = [rows[j]!, rows[j + half]!];
          rows[j] = a + b;
          rows[j + half] = a - b;
        }
      }
    }
  }
  const scale = 1 / Math.sqrt(d);
  for (let i = 0; i < rows.length; i++) rows[i]! *= scale;
  return rows;
}

/**
 * The sketch C Omega [d, width] of C = H diag(spectrum) H^T, H being the Hadamard matrix of order d: its eigenvectors
 * are known, and it need not be written down. Rows of H are turned by signs, so that no entry of Omega is special.
 */
export function plantedSketch(spectrum: Float64Array, width: number, seed: number): Float32Array {
  const d = spectrum.length;
  const omega = omegaOf(seed, d, width);
  const product = new Float32Array(d * width);
  for (let column = 0; column < width; column++) {
    const x = Float64Array.from({ length: d }, (_, i) => omega[i * width + column]! * turn(i));
    hadamard(x, d);
    for (let i = 0; i < d; i++) x[i]! *= spectrum[i]!;
    hadamard(x, d);
    for (let i = 0; i < d; i++) product[i * width + column] = x[i]! * turn(i);
  }
  return product;
}

/** What directions [k, d] capture of that C: the sum of v^T C v. */
export function plantedEnergy(spectrum: Float64Array, vectors: Float32Array): number {
  const d = spectrum.length;
  let sum = 0;
  for (let begin = 0; begin < vectors.length; begin += d) {
    const v = hadamard(
      Float64Array.from({ length: d }, (_, i) => vectors[begin + i]! * turn(i)),
      d,
    );
    for (let i = 0; i < d; i++) sum += spectrum[i]! * v[i]! ** 2;
  }
  return sum;
}

/** A sign for every channel, by a multiplicative hash. */
function turn(channel: number): number {
  return (Math.imul(channel + 1, 0x9e3779b1) >>> 31) * 2 - 1;
}
