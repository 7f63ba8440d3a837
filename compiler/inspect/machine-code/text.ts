import { visible, wrap } from "../../support/text.js";
import { tableLines } from "../table-lines.js";
import type { CountedKernel, MachineCode } from "./report.js";

const headings = [
  "kernel",
  "v/weight",
  "m/weight",
  "trips",
  "in all",
  "in flight",
  "read",
  "issue",
  "launch",
];

/**
 * What was counted in machine code, for a terminal: vector and matrix instructions per weight, round trips to memory
 * before the first weight and in all (and in every turn of a loop), what a compute unit has in flight, and the predicted
 * microseconds.
 */
export function machineCodeText(code: MachineCode, columns = 100): string {
  if ("problem" in code)
    return wrap(
      `The machine code for ${code.target} was not counted: ${visible(code.problem)}`,
      columns,
    ).join("\n");
  const title =
    "one token: vector and matrix instructions per weight; round trips to memory before the first weight and in all, behind a + in each turn of a loop; bytes of weights in flight in a compute unit; predicted microseconds to read the weights, to issue the instructions, and of the launch";
  const rows = [headings, ...code.kernels.map(row)];
  return [
    ...wrap(`Counted in the machine code for ${code.target}, ${title}`, columns),
    ...tableLines(rows, columns),
    ...Object.keys(code.seconds_per_token).flatMap((mode) => wrap(secondsText(code, mode), columns)),
  ].join("\n");
}

/** What a token is predicted to take in a mode, with no other before it and behind some. */
function secondsText(
  { seconds_per_token: first, behind }: Extract<MachineCode, { behind: unknown }>,
  mode: string,
): string {
  const milliseconds = (seconds: number) => `${(seconds * 1e3).toFixed(3)} ms`;
  const others = behind.map(
    ({ tokens, seconds_per_token: seconds }) =>
      `; ${milliseconds(seconds[mode]!)} behind ${tokens.toLocaleString("en")}`,
  );
  return `A token in ${mode} mode behind an empty context: ${milliseconds(first[mode]!)}${others.join("")}.`;
}

function row(kernel: CountedKernel): string[] {
  const { prediction } = kernel;
  const rounded = (value: number | null) => (value === null ? "-" : value.toFixed(2));
  const micro = (seconds: number) => (seconds * 1e6).toFixed(1);
  const loops = kernel.waits_of_loops.map((waits) => `+${waits}`).join("");
  return [
    visible(kernel.symbol),
    rounded(kernel.vector_per_weight),
    rounded(kernel.matrix_per_weight),
    String(kernel.waits_before_weights ?? "-"),
    `${kernel.waits}${loops}`,
    `${Math.round(kernel.bytes_in_flight / 1024)} KB`,
    micro(prediction.memory),
    micro(prediction.issue),
    micro(prediction.total),
  ];
}
