/**
 * Builds that are killed, that find no room, and that meet: the previous build stays whole, the next one succeeds, and
 * nothing is left over. `npm run test:interrupt` kills a hundred.
 */

import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TensorToWrite, writeSafetensors } from "./read/safetensors-write.js";
import { CommandLine, differences, type Outcome, start } from "./testing/cli.js";

const kills = Number(process.env.GSIC_INTERRUPTS ?? 12);
const work = mkdtempSync(join(tmpdir(), "gsic-interrupt-"));
const folder = join(work, "project");
const out = join(folder, "out");
/** Where builds put temporary files. */
const temporary = join(work, "tmp");
const settled = ["long.toml", "model", "out", "short.toml"];
const variants = ["short", "long"] as const;
type Variant = (typeof variants)[number];
/** A disk of 256 MB, where this user may mount one. */
const mounted = join(work, "disk");
mkdirSync(mounted);
const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256m", "tmpfs", mounted]);
let gsic: CommandLine;
let seconds = 0;

beforeAll(async () => {
  gsic = new CommandLine();
  mkdirSync(join(folder, "model"), { recursive: true });
  mkdirSync(temporary);
  await writeModel(join(folder, "model"));
  for (const [name, context] of [
    ["short", 64],
    ["long", 128],
  ] as const) {
    const text = `[model]\nname = "small"\nsource = "model"\ncontext = ${context}\n\n[target]\nname = "cpu-portable"\n`;
    writeFileSync(join(folder, `${name}.toml`), text);
  }
  for (const variant of [...variants].reverse()) {
    await expectBuilt(build(variant));
    cpSync(out, join(work, variant), { recursive: true });
    const begun = Date.now();
    await expectBuilt(build(variant));
    seconds = (Date.now() - begun) / 1000;
    // The same inputs give the same bytes: what follows compares with these.
    expect(differences(out, join(work, variant))).toEqual([]);
  }
});

afterAll(() => {
  if (mount.status === 0) execFileSync("umount", [mounted]);
  rmSync(work, { recursive: true, force: true });
});

/** A GPT-J of 20 MB: large enough to be killed while it is packed. */
async function writeModel(path: string): Promise<void> {
  const [d, layers, vocabulary] = [384, 3, 6000];
  const config = { model_type: "gptj", n_embd: d, n_head: 6, n_layer: layers, n_positions: 128 };
  const more = { rotary_dim: 32, vocab_size: vocabulary, tie_word_embeddings: false };
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, ...more }));
  let state = 1;
  // f16 from 2^-7 to 2^-5, of either sign.
  const word = () => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return ((state >> 8) & 0x8000) | (0x2000 + ((state >> 4) & 0x7ff));
  };
  const tensor = (name: string, ...shape: number[]): TensorToWrite => {
    const elements = shape.reduce((product, length) => product * length, 1);
    return { name, dtype: "F16", shape, data: Uint16Array.from({ length: elements }, word) };
  };
  const linear = (name: string, rows: number, columns: number) => tensor(`${name}.weight`, rows, columns);
  const norm = (name: string) => [tensor(`${name}.weight`, d), tensor(`${name}.bias`, d)];
  const blocks = Array.from({ length: layers }, (_, layer) => `transformer.h.${layer}`).flatMap((block) => [
    ...norm(`${block}.ln_1`),
    ...["q", "k", "v", "out"].map((part) => linear(`${block}.attn.${part}_proj`, d, d)),
    linear(`${block}.mlp.fc_in`, 4 * d, d),
    tensor(`${block}.mlp.fc_in.bias`, 4 * d),
    linear(`${block}.mlp.fc_out`, d, 4 * d),
    tensor(`${block}.mlp.fc_out.bias`, d),
  ]);
  await writeSafetensors(join(path, "model.safetensors"), [
    linear("transformer.wte", vocabulary, d),
    ...blocks,
    ...norm("transformer.ln_f"),
    linear("lm_head", vocabulary, d),
    tensor("lm_head.bias", vocabulary),
  ]);
}

const argumentsOf = (variant: Variant, to = out) => [
  "build",
  join(folder, `${variant}.toml`),
  "--out",
  to,
  "--mode",
  "exact",
];

function build(variant: Variant, to = out): Promise<Outcome> {
  return gsic.run(argumentsOf(variant, to), { env: { TMPDIR: temporary } });
}

async function expectBuilt(building: Promise<Outcome>): Promise<void> {
  const { code, stderr } = await building;
  expect(code, stderr).toBe(0);
}

/** Expects a whole build that runs. */
async function expectRuns(path: string): Promise<void> {
  const native = await start(join(path, "small"), ["--ids", "1,2,3", "--tokens", "2", "--json"]).outcome;
  expect(native.code, native.stderr).toBe(0);
}

/** Uniform from 0 to 1, the same in every run. */
function random(seed: number): number {
  return ((Math.imul(seed + 1, 2654435761) >>> 0) % 1_000_003) / 1_000_003;
}

const appears = async (look: () => boolean) => {
  for (let waited = 0; !look(); waited += 2) {
    if (waited > 60_000) throw new Error("it did not appear");
    await setTimeout(2);
  }
};

const staging = join(folder, ".out.staging");
const journal = join(staging, "small.gsi.journal");

/** Moments that a build is killed at: any, and the short ones in which something is half done. */
const moments: readonly ((number: number) => Promise<void>)[] = [
  (number) => setTimeout(1000 * seconds * 1.05 * random(number)),
  (number) => setTimeout(1000 * seconds * 1.05 * random(number + 7777)),
  async (number) => {
    await appears(() => existsSync(journal));
    await setTimeout(200 * random(number));
  },
  async (number) => {
    await appears(() => existsSync(join(staging, "report.json")) || !existsSync(staging));
    await setTimeout(30 * random(number));
  },
];

describe(`builds that are killed (${kills} times)`, () => {
  let built: Variant = "short";
  const sawJournal = { count: 0 };

  test.each(Array.from({ length: kills }, (_, number) => number))("at moment %i", async (number) => {
    const wanted = variants[(number + 1) % 2]!;
    const { child, outcome } = gsic.start(argumentsOf(wanted), { env: { TMPDIR: temporary } });
    const ended = outcome.then(() => {});
    await Promise.race([moments[number % moments.length]!(number), ended]);
    child.kill("SIGKILL");
    await outcome;
    if (existsSync(journal)) sawJournal.count++;
    // The earlier build, or the new one where the kill came too late: whole in either case.
    const same = [built, wanted].filter((variant) => differences(out, join(work, variant)).length === 0);
    expect(same.length).toBeGreaterThan(0);
    await expectRuns(out);

    await expectBuilt(build(wanted));
    built = wanted;
    expect(differences(out, join(work, wanted))).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(settled);
    expect(readdirSync(temporary).filter((name) => name.startsWith("gsic-"))).toEqual([]);
  });

  test("some of them while weights were packed", () => {
    expect(sawJournal.count).toBeGreaterThan(kills / 8);
  });
});

test("of two builds into one folder one refuses, or both succeed in turn", async () => {
  for (let round = 0; round < 3; round++) {
    const outcomes = await Promise.all([build("short"), build("long"), build("short")]);
    const codes = outcomes.map(({ code }) => code);
    expect(codes).toContain(0);
    for (const { code, stderr } of outcomes) {
      if (code !== 0) expect(stderr).toMatch(/another build writes to this folder \[output-busy\]/);
    }
    const whole = variants.filter((variant) => differences(out, join(work, variant)).length === 0);
    expect(whole).toHaveLength(1);
    expect(readdirSync(folder).sort()).toEqual(settled);
    await expectRuns(out);
  }
});

describe("a build that cannot be written", () => {
  const to = join(mounted, "out");
  const reason = mount.status === 0 ? "" : " (skipped: tmpfs cannot be mounted)";

  describe.skipIf(mount.status !== 0)(`on a small disk${reason}`, () => {
    const filler = join(mounted, "filler");
    /** Fills the disk up to so many megabytes, while a build may write to it as well. */
    const freeExcept = (left: number) => {
      const piece = new Uint8Array(2 ** 20);
      for (;;) {
        const { bavail, bsize } = statfsSync(mounted);
        if (bavail * bsize < (left + 1) * piece.length) return;
        try {
          appendFileSync(filler, piece);
        } catch {
          return;
        }
      }
    };
    const expectUnharmed = async () => {
      expect(readdirSync(mounted).sort()).toEqual(["filler", "out"]);
      expect(differences(to, join(work, "small-disk"))).toEqual([]);
      await expectRuns(to);
      rmSync(filler);
      await expectBuilt(build("long", to));
      expect(readdirSync(mounted)).toEqual(["out"]);
    };

    beforeAll(async () => {
      await expectBuilt(build("short", to));
      cpSync(to, join(work, "small-disk"), { recursive: true });
    });

    test("is refused before it begins, with how much is short", async () => {
      freeExcept(50);
      const { code, stderr } = await build("long", to);
      expect(code).toBe(4);
      expect(stderr).toMatch(/takes \d+\.\d MB, and the disk is \d+\.\d MB short of that \[disk-full\]/);
      await expectUnharmed();
      rmSync(join(work, "small-disk"), { recursive: true });
      cpSync(to, join(work, "small-disk"), { recursive: true });
    });

    test.each([1, 10, 20])(
      "fails where the disk fills up while it runs, and is cleared away (%i MB)",
      async (left) => {
        // What the build asks for before it begins, and little more: the rest is filled quickly.
        freeExcept(95);
        const building = build("short", to);
        await appears(() => existsSync(join(mounted, ".out.staging")));
        freeExcept(left);
        const { code, stderr } = await building;
        expect(code, stderr).toBe(4);
        expect(stderr).toMatch(/\[disk-full\]/);
        await expectUnharmed();
        rmSync(join(work, "small-disk"), { recursive: true });
        cpSync(to, join(work, "small-disk"), { recursive: true });
      },
    );
  });

  test("fails at a limit of the size of files, and is cleared away", async () => {
    rmSync(out, { recursive: true });
    await expectBuilt(build("short"));
    const limited = [gsic.command, ...argumentsOf("long").map((one) => JSON.stringify(one))].join(" ");
    const { code, stderr } = await start("bash", ["-c", `ulimit -f 12000; exec ${limited}`]).outcome;
    expect(code, stderr).toBe(4);
    expect(stderr).toMatch(/\[(output|file)-unwritable\]/);
    expect(readdirSync(folder).sort()).toEqual(settled);
    expect(differences(out, join(work, "short"))).toEqual([]);
    await expectBuilt(build("long"));
  });
});
