/** Numbers from a seed (mulberry32); input `index` of a seed is the same whatever came before it. */
export class Random {
  private state: number;

  constructor(seed: number, index: number) {
    this.state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
    this.next();
  }

  /** A 32-bit number. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return this.next() % count;
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** A 64-bit number that breaks arithmetic on sizes, or one near `near`. */
  size(near: bigint): bigint {
    switch (this.below(4)) {
      case 0:
        return BigInt.asUintN(64, near + BigInt(this.below(5)) - 2n);
      case 1:
        return BigInt.asUintN(64, near ^ (1n << BigInt(this.below(64))));
      case 2:
        return ((BigInt(this.next()) << 32n) | BigInt(this.next())) >> BigInt(this.below(64));
      default:
        return this.pick(edges);
    }
  }

  /** Changes single bytes, cuts, or repeats a part. */
  bytes(bytes: Uint8Array): Uint8Array {
    if (bytes.length === 0) return bytes;
    const at = this.below(bytes.length);
    switch (this.below(4)) {
      case 0:
        return bytes.subarray(0, at);
      case 1: {
        const from = this.below(bytes.length);
        const part = bytes.subarray(from, from + this.below(64));
        return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
      }
      default: {
        const changed = Uint8Array.from(bytes);
        for (let flips = 1 + this.below(4); flips > 0; flips--)
          changed[this.below(changed.length)] = this.next();
        return changed;
      }
    }
  }
}

const edges: readonly bigint[] = [0, 1, 7, 8, 31, 32, 53, 62, 63].flatMap((power) =>
  [-1n, 0n, 1n].map((by) => BigInt.asUintN(64, (1n << BigInt(power)) + by)),
);
