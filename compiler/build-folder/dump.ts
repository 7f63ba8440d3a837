import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PlanHeader } from "../graph-text/grammar-nodes.js";
import { printPlan } from "../graph-text/print.js";
import type { Plan } from "../ir/plan.js";
import { stepsText } from "../lower/steps-text.js";
import type { Schedule } from "../schedule/program.js";
import { programText } from "../schedule/program-text.js";
import { cannotWrite } from "../support/cannot-write.js";

/** The folder of `gsic build --dump`: what a build is after each stage, in files numbered in the order of the stages. */
export class Dump {
  private stages = 0;

  constructor(
    private readonly folder: string,
    private readonly header: PlanHeader,
  ) {}

  /** Writes a plan as `NN-<name>.ts`. */
  plan(name: string, plan: Plan): Promise<void> {
    return this.write([[`${name}.ts`, printPlan(plan, this.header)]]);
  }

  /** Writes what each program was made from, and is: `NN-steps-<name>.txt`, on GPUs `NN-device-steps-<name>.txt`, `NN-program-<name>.txt`. */
  async schedule({ steps, kernels, listings }: Schedule): Promise<void> {
    const programs = Object.entries(steps);
    await this.write(programs.map(([name, { steps }]) => [`steps-${name}.txt`, stepsText(steps)]));
    await this.write(
      programs.flatMap(([name, { deviceSteps }]) =>
        deviceSteps === null ? [] : [[`device-steps-${name}.txt`, stepsText(deviceSteps)]],
      ),
    );
    await this.write(
      Object.entries(listings).map(([name, listing]) => [
        `program-${name}.txt`,
        programText(kernels, listing),
      ]),
    );
  }

  /** Writes the files of one stage; none where it has none. Throws `dump-unwritable` (category environment). */
  private async write(files: readonly (readonly [name: string, text: string])[]): Promise<void> {
    if (files.length === 0) return;
    const number = String(++this.stages).padStart(2, "0");
    try {
      await mkdir(this.folder, { recursive: true });
      for (const [name, text] of files) await writeFile(join(this.folder, `${number}-${name}`), text);
    } catch (cause) {
      const hint = "choose another folder with --dump";
      throw cannotWrite(this.folder, cause, { code: "dump-unwritable", hint });
    }
  }
}
