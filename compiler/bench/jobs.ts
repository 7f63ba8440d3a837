import { maxColumns } from "../layout/stride.js";
import type { ListedLaunch } from "../report/program-json.js";

/** Which tier of a gated launch is measured; null where no gate decides. */
export type GateState = "closed" | "open" | null;

/** One launch that `gsic-tool launches` measures; see runtime/tools/launches.cpp. */
interface LaunchJob {
  readonly kernel: string;
  /** Whether its step is null where there is one column. */
  readonly alone: boolean;
  /** Whether its weights are also read from memory, by turns from several copies. */
  readonly rotate: boolean;
  readonly arguments: readonly {
    readonly buffer: string;
    readonly offset: number;
    readonly bytes: number;
    /** Weights that are all zero, and not copied. */
    readonly zero: boolean;
  }[];
  /** What is written into arguments before it is measured. */
  readonly values: readonly {
    readonly argument: number;
    readonly type: "f32" | "f64";
    readonly count: number;
    readonly value: number;
  }[];
}

/** A launch to be measured, and the bytes of weights that it reads; null for a look-up, which reads rows of a table. */
export interface MeasuredLaunch {
  readonly job: LaunchJob;
  readonly weightBytes: number | null;
}

type ListedArgument = ListedLaunch["arguments"][number];

/** The tiers of a launch: both of a gated one. */
export function gateStates(launch: ListedLaunch): readonly GateState[] {
  return launch.arguments.some(({ rows }) => rows?.tier === "image") ? ["closed", "open"] : [null];
}

/**
 * How a launch is measured with its gate closed or open. The gate is set by what it reads (templates/include/gsic/gpu/
 * gate.h): a zero input counts as closed; coordinates of zero of an input that is not are open.
 */
export function measuredLaunch(launch: ListedLaunch, template: string, gate: GateState): MeasuredLaunch {
  const index = (name: string) => launch.arguments.findIndex((one) => one.name === name);
  const given = index("g") >= 0;
  const values: LaunchJob["values"][number][] = [];
  const fill = (name: string, type: "f32" | "f64", value: number) => {
    const argument = index(name);
    const bytes = launch.arguments[argument]!.bytes!;
    const count = type === "f64" ? maxColumns : bytes / 4;
    values.push({ argument, type, count, value });
  };
  if (gate !== null && given) {
    fill("g", "f32", 0);
    fill("squares", "f64", gate === "closed" ? 0 : 1);
  } else if (gate !== null) {
    fill("x", "f32", gate === "closed" ? 0 : 1);
  }
  const isRead = ({ name, rows }: ListedArgument) =>
    gate === null ||
    !(
      (gate === "open" && rows?.tier === "image") ||
      (gate === "closed" && rows?.tier === "weight") ||
      (given && name === "basis")
    );
  // Coordinates that the kernel computes for itself are zero where its basis is.
  const isZero = (one: ListedArgument) => !isRead(one) || (gate === "open" && one.name === "basis");
  const read = launch.arguments.filter((one) => one.buffer === "weights" && isRead(one));
  // Tables of embeddings and of angles: a launch reads a row.
  const lookUp = ["embed", "attend", "cache"].includes(template);
  return {
    job: {
      kernel: launch.kernel,
      alone: launch.alone ?? false,
      rotate: !lookUp,
      arguments: launch.arguments.map((one) => ({
        buffer: one.buffer,
        offset: one.offset,
        bytes: one.buffer === "weights" ? one.bytes! : 0,
        zero: one.buffer === "weights" && isZero(one),
      })),
      values,
    },
    weightBytes: lookUp ? null : read.reduce((sum, { bytes }) => sum + bytes!, 0),
  };
}
