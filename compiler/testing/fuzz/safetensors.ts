import { safetensorsBytes } from "../files.js";
import type { Random } from "./random.js";

/** A tensor of a header, as the JSON text of its parts. */
interface Entry {
  name: string;
  dtype: string;
  shape: string[];
  offsets: string[];
  extra: string;
}

const dtypes = ["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "F6_E2M3", "C64", "F33", "", "f32"];
const numbers = ["-1", "-0", "1.0", "1e3", "1E0", "01", "9007199254740991", "9007199254740992", "1e400"];
const others = ["null", '"1"', "[]", "{}", "true", "18446744073709551615", "[[[[]]]]", "\u0000"];
const names = [
  "",
  "__proto__",
  "constructor",
  "a\\u0000b",
  "\\ud800",
  "\\u0061",
  "__metadata__",
  "x".repeat(2000),
];

/** A safetensors file that may be wrong in one or several places; about one in ten is right. */
export function hostileSafetensors(random: Random): Uint8Array {
  const { entries, size } = goodEntries(random);
  let metadata = random.oneIn(2) ? '{"format":"pt"}' : undefined;
  for (let changes = random.below(4); changes > 0; changes--) {
    if (random.oneIn(12)) metadata = random.pick(['{"a":1}', '"x"', "null", '{"a":{}}', '{"a":"b","a":"c"}']);
    else change(entries, random);
  }
  const members = entries.map(
    ({ name, dtype, shape, offsets, extra }) =>
      `"${name}":{"dtype":${dtype},"shape":[${shape.join()}],"data_offsets":[${offsets.join()}]${extra}}`,
  );
  if (metadata !== undefined)
    members.splice(random.below(members.length + 1), 0, `"__metadata__":${metadata}`);
  let header = `{${members.join()}}${" ".repeat(random.below(8))}`;
  if (random.oneIn(30)) header = header.replace('"shape":[', `"shape":${"[".repeat(random.below(100))}`);
  if (random.oneIn(30)) header = random.pick(["[]", "{", "", "{}{}", "null", header.slice(0, -1)]);
  const data = random.oneIn(20) ? Number(random.size(BigInt(size)) % 4096n) : size;
  let bytes = safetensorsBytes(header, new Uint8Array(data));
  if (random.oneIn(10)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setBigUint64(0, random.size(view.getBigUint64(0, true)), true);
  }
  if (random.oneIn(8)) bytes = random.bytes(bytes);
  return bytes;
}

const widths: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, I64: 8, BOOL: 1 };

function goodEntries(random: Random): { entries: Entry[]; size: number } {
  const entries: Entry[] = [];
  let size = 0;
  for (let count = 1 + random.below(5); count > 0; count--) {
    const dtype = random.pick(Object.keys(widths));
    const shape = Array.from({ length: random.below(4) }, () => 1 + random.below(5));
    const end = size + shape.reduce((product, length) => product * length, widths[dtype]!);
    entries.push({
      name: `t${entries.length}`,
      dtype: JSON.stringify(dtype),
      shape: shape.map(String),
      offsets: [String(size), String(end)],
      extra: "",
    });
    size = end;
  }
  if (random.oneIn(2)) entries.reverse();
  return { entries, size };
}

function change(entries: Entry[], random: Random): void {
  const entry = random.pick(entries);
  switch (random.below(9)) {
    case 0:
      entry.name = random.oneIn(2) ? random.pick(names) : random.pick(entries).name;
      return;
    case 1:
      entry.dtype = random.oneIn(4) ? random.pick(others) : JSON.stringify(random.pick(dtypes));
      return;
    case 2:
    case 3:
      entry.shape[random.below(entry.shape.length + 1)] = number(entry.shape[0] ?? "1", random);
      return;
    case 4:
    case 5: {
      const at = random.below(2);
      entry.offsets[at] = number(entry.offsets[at]!, random);
      return;
    }
    case 6:
      if (random.oneIn(2)) entry.shape.push(...Array.from({ length: random.below(9) }, () => "1"));
      else entry.offsets.push("0");
      return;
    case 7:
      entry.extra = random.pick([',"extra":1', ',"shape":[1]', ',"dtype":"F32"', ","]);
      return;
    default:
      entries.push({ ...random.pick(entries) });
  }
}

/** Another number, as text: one near the old, one that overflows, or one in another spelling. */
function number(old: string, random: Random): string {
  const kind = random.below(6);
  if (kind === 0) return random.pick(numbers);
  if (kind === 1) return random.pick(others);
  return String(random.size(/^\d+$/.test(old) ? BigInt(old) : 1n));
}
