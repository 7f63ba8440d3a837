import type { GsicError } from "../support/errors.js";
import { badInput, fetchAgain, type OpenFile, readAt } from "./file.js";

const windowBytes = 1 << 16;

/** A field of a protobuf message in a file: where its content lies. Of a varint that is the varint itself. */
export interface WireField {
  /** Where its tag lies. */
  readonly start: number;
  readonly number: number;
  /** 0: varint; 1: 8 bytes; 2: bytes, a text, a message or packed numbers; 5: 4 bytes. */
  readonly wire: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Walks over protobuf messages in a file without reading what is in their fields, so that a model's weights stay where
 * they are. Every length is checked against the message that it stands in, and that one against the file.
 */
export class WireReader {
  private window: Uint8Array = new Uint8Array(0);
  private windowStart = 0;

  constructor(readonly opened: OpenFile) {}

  /** The fields of the message that lies in bytes `begin` to `end`, in order. Throws `onnx-malformed`, `onnx-truncated`. */
  *fields(begin: number, end: number): Generator<WireField> {
    for (let at = begin; at < end; ) {
      const start = at;
      const tag = this.varint(at, end);
      const [number, wire] = [Math.floor(tag.value / 8), tag.value % 8];
      if (number < 1 || number > 0x1fffffff) throw this.malformed(start, `a field has the number ${number}`);
      at = tag.end;
      switch (wire) {
        case 0:
          at = this.varint(at, end).end;
          yield { start, number, wire, begin: tag.end, end: at };
          break;
        case 1:
        case 5:
          at = this.skip(start, at, wire === 1 ? 8 : 4, end);
          yield { start, number, wire, begin: tag.end, end: at };
          break;
        case 2: {
          const length = this.varint(at, end);
          at = this.skip(start, length.end, length.value, end);
          yield { start, number, wire, begin: length.end, end: at };
          break;
        }
        default:
          throw this.malformed(start, `a field is of wire type ${wire}`);
      }
    }
  }

  /** Bytes `begin` to `end` of the file. */
  bytes({ begin, end }: Pick<WireField, "begin" | "end">): Uint8Array {
    return readAt(this.opened, begin, end - begin);
  }

  /** The error for bytes at `at` that are no model of ONNX. */
  malformed(at: number, what: string): GsicError {
    const message = `the file is no ONNX model: ${what}`;
    return badInput("onnx-malformed", message, `${this.opened.file}: byte ${at}`, fetchAgain);
  }

  private skip(start: number, at: number, bytes: number, end: number): number {
    if (bytes <= end - at) return at + bytes;
    const message = `the file ends inside a field: ${bytes} bytes are needed, ${end - at} are left`;
    const hint = "the download did not finish, or the file is damaged; fetch it again";
    throw badInput("onnx-truncated", message, `${this.opened.file}: byte ${start}`, hint);
  }

  /** A varint below 2^64, as a number, which is exact below 2^53. */
  private varint(at: number, end: number): { readonly value: number; readonly end: number } {
    let value = 0;
    for (let index = 0; index < 10; index++) {
      if (at + index >= end) this.skip(at, at, index + 1, end);
      const byte = this.byte(at + index);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return { value, end: at + index + 1 };
    }
    throw this.malformed(at, "a number takes more than ten bytes");
  }

  private byte(at: number): number {
    if (at < this.windowStart || at >= this.windowStart + this.window.length) {
      this.window = readAt(this.opened, at, Math.min(windowBytes, this.opened.size - at));
      this.windowStart = at;
    }
    return this.window[at - this.windowStart]!;
  }
}
