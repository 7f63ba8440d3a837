import { readFileSync } from "node:fs";
import { basename } from "node:path";
import TOML from "@iarna/toml";
import type { DeviceKind } from "../ir/program.js";
import { messageOf } from "../support/errors.js";
import { devices } from "./devices.js";
import type { Target } from "./target.js";
import { Fields, invalid } from "./target-fields.js";

/** Reads and checks a target's file. Throws `target-invalid` (category usage) with the file, the field and what to do. */
export function readTargetFile(file: string): Target {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = TOML.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw invalid(file, "", messageOf(cause).split("\n")[0]!, "correct the TOML");
  }
  const fields = new Fields(file, "", table);
  const device = devices[fields.choice("device", Object.keys(devices) as DeviceKind[])];
  fields.refuseUnknown([...commonKeys, ...device.keys]);
  return device.read(fields, {
    name: basename(file, ".toml"),
    dialect: fields.text("dialect"),
    architecture: fields.text("architecture"),
    flags: fields.texts("flags"),
  });
}

/** The keys of every target's file. */
const commonKeys = ["device", "dialect", "architecture", "flags", "cost"];
