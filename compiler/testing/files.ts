import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GsicError } from "../support/errors.js";

/** Builders of small model files, right and wrong ones, for the tests of this folder. */

/** A new temporary folder; `remove` deletes it. */
export function temporaryFolder(): {
  path: string;
  write: (name: string, content: Uint8Array | string) => string;
  remove: () => void;
} {
  const path = mkdtempSync(join(tmpdir(), "gsic-read-"));
  const write = (name: string, content: Uint8Array | string) => {
    const file = join(path, name);
    writeFileSync(file, content);
    return file;
  };
  return { path, write, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A safetensors file from its header (JSON text or a value) and data. */
export function safetensorsBytes(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const text = Buffer.from(json, "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** Little-endian pieces of a GGUF file. */
export const piece = {
  u8: (value: number) => Buffer.from([value]),
  u32: (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return bytes;
  },
  u64: (value: number | bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  },
  f32: (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return bytes;
  },
  string: (value: string) => Buffer.concat([piece.u64(Buffer.byteLength(value)), Buffer.from(value)]),
};

/** A metadata entry: key, type code, value bytes. */
export function entry(key: string, type: number, value: Uint8Array): Buffer {
  return Buffer.concat([piece.string(key), piece.u32(type), value]);
}

export interface GgufTensorPiece {
  readonly name: string;
  /** In GGUF's order: contiguous dimension first. */
  readonly ne: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export interface GgufPieces {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly keyCount?: number | bigint;
  readonly entries?: readonly Uint8Array[];
  readonly tensors?: readonly GgufTensorPiece[];
  readonly alignment?: number;
  readonly data?: Uint8Array;
}

/** A GGUF file. Counts follow from the lists unless they are given, so that they can lie. */
export function ggufBytes(pieces: GgufPieces): Buffer {
  const { entries = [], tensors = [], alignment = 32, data = new Uint8Array(0) } = pieces;
  const head = Buffer.concat([
    Buffer.from(pieces.magic ?? "GGUF", "latin1"),
    piece.u32(pieces.version ?? 3),
    piece.u64(pieces.tensorCount ?? tensors.length),
    piece.u64(pieces.keyCount ?? entries.length),
    ...entries,
    ...tensors.map(({ name, ne, type, offset }) =>
      Buffer.concat([
        piece.string(name),
        piece.u32(ne.length),
        ...ne.map(piece.u64),
        piece.u32(type),
        piece.u64(offset),
      ]),
    ),
  ]);
  const padding = Buffer.alloc((alignment - (head.length % alignment)) % alignment);
  return Buffer.concat([head, padding, data]);
}

/** The code of the GsicError that `action` throws; anything else that happens is reported as text. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "(no error)";
  } catch (error) {
    return error instanceof GsicError ? error.code : `(not a GsicError) ${String(error)}`;
  }
}
