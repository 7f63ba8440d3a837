import { existsSync } from "node:fs";
import { join } from "node:path";

/** The .onnx file that a folder's model is, where it is none of safetensors; null: there is none. */
export function onnxOf(folder: string): string | null {
  const file = join(folder, "model.onnx");
  const others = ["model.safetensors", "model.safetensors.index.json"];
  return existsSync(file) && !others.some((other) => existsSync(join(folder, other))) ? file : null;
}
