import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** As Hugging Face's `kernels` calls what runs with PyTorch's stable ABI from 2.10 on, on this kind of machine. */
const variant = "torch-stable-abi210-cpu-x86_64-linux";
/** Files that need more than PyTorch, which a kernel may not. */
const left = ["lm_eval.py", "onnx.py", "vllm.py"];

/**
 * Lays the files of the package in `package_` out as a kernel that Hugging Face's `kernels` loads: in
 * build/VARIANT of the folder `output`, which is returned, with metadata.json. Its `id` is the name under which the
 * package is imported, and the operator's namespace; it holds a hash of the files, so that several versions can be loaded.
 */
export async function makeKernel(package_: string, output: string): Promise<string> {
  const folder = join(output, "build", variant);
  await rm(output, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const names = (await readdir(package_)).filter(
    (name) => /\.(py|so|typed)$/.test(name) && !left.includes(name),
  );
  const files: Record<string, string> = {};
  for (const name of names.sort()) {
    await copyFile(join(package_, name), join(folder, name));
    files[name] = createHash("sha256")
      .update(await readFile(join(package_, name)))
      .digest("base64");
  }
  const hash = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 8);
  const metadata = {
    name: "gsic",
    id: `_gsic_cpu_${hash}`,
    version: 0,
    license: "Apache-2.0",
    "python-depends": [],
    backend: { type: "cpu" },
    digest: { algorithm: "sha256", files },
  };
  await writeFile(join(folder, "metadata.json"), `${JSON.stringify(metadata, null, 2)}\n`);
  return output;
}
