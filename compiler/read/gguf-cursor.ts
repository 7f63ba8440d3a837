import { badInput, decodeUtf8, fetchAgain, type OpenFile, readAt } from "./file.js";
import { checkedSize } from "./sizes.js";

const windowBytes = 1 << 20;

/**
 * Reads a GGUF header front to back through a window of the file. Every read is checked against the file's size
 * first, so no length in the file can make it read elsewhere or allocate more than is there.
 */
export class GgufCursor {
  private window: DataView = new DataView(new ArrayBuffer(0));
  private windowStart = 0;

  /** Byte offset of the next read. */
  position = 0;

  constructor(readonly opened: OpenFile) {}

  get file(): string {
    return this.opened.file;
  }

  /** Bytes of the file after the position. */
  get remaining(): number {
    return this.opened.size - this.position;
  }

  /** `file: byte N` of the next read, or of an earlier one. */
  place(position = this.position): string {
    return `${this.file}: byte ${position}`;
  }

  u8(): number {
    const at = this.take(1, "a byte");
    return this.window.getUint8(at);
  }

  u16(): number {
    const at = this.take(2, "a 2-byte number");
    return this.window.getUint16(at, true);
  }

  u32(): number {
    const at = this.take(4, "a 4-byte number");
    return this.window.getUint32(at, true);
  }

  u64(): bigint {
    const at = this.take(8, "an 8-byte number");
    return this.window.getBigUint64(at, true);
  }

  i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }

  f32(): number {
    const at = this.take(4, "a 4-byte float");
    return this.window.getFloat32(at, true);
  }

  f64(): number {
    const at = this.take(8, "an 8-byte float");
    return this.window.getFloat64(at, true);
  }

  /** A u64 that is a size or count. */
  size(what: string): number {
    const offset = this.position;
    return checkedSize(this.u64(), what, { file: this.file, offset });
  }

  /** A count of things that take at least `unit` bytes each, so the rest of the file bounds it. */
  count(what: string, unit: number, maximum: number): number {
    const start = this.position;
    const count = this.size(what);
    if (count > maximum) {
      throw badInput(
        "gguf-count",
        `the ${what} is ${count}; more than ${maximum} is refused`,
        this.place(start),
        fetchAgain,
      );
    }
    if (count > this.remaining / unit) {
      const message = `the ${what} is ${count}, which cannot fit into the remaining ${this.remaining} bytes`;
      throw badInput("gguf-truncated", message, this.place(start), "fetch the file again");
    }
    return count;
  }

  /** A string with its u64 length, of at most `maximum` bytes. */
  string(what: string, maximum: number): string {
    const start = this.position;
    const length = this.count(`length of ${what}`, 1, maximum);
    const at = this.take(length, what);
    const bytes = new Uint8Array(this.window.buffer, this.window.byteOffset + at, length);
    return decodeUtf8(bytes, this.file, start + 8);
  }

  /** Moves past `bytes` bytes and returns where they begin in the window. */
  private take(bytes: number, what: string): number {
    const start = this.position;
    if (bytes > this.remaining) {
      const message = `the file ends inside ${what}: ${bytes} bytes are needed, ${this.remaining} are left`;
      throw badInput(
        "gguf-truncated",
        message,
        this.place(),
        "the download did not finish; fetch the file again",
      );
    }
    if (start + bytes > this.windowStart + this.window.byteLength) {
      const read = readAt(this.opened, start, Math.min(Math.max(bytes, windowBytes), this.remaining));
      this.window = new DataView(read.buffer);
      this.windowStart = start;
    }
    this.position = start + bytes;
    return start - this.windowStart;
  }
}
