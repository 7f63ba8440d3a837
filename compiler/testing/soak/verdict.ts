import type { SoakReport } from "./soak.js";

/** A chat template that takes any number of messages. */
export const soakTemplate =
  "{% for m in messages %}{{ m.content + ' ' }}{% endfor %}{% if add_generation_prompt %}Then{% endif %}";

/** MiB by which a process that has worked may be larger than before: V8 keeps what it once needed. */
const slack = 64;

/** What is wrong with what a soak found; nothing, if the list is empty. */
export function verdict(report: SoakReport): string[] {
  const { counts, idle, peaks, exitCode, troubles } = report;
  const complaints = [...counts.wrong, ...troubles];
  const descriptors = idle.end.descriptors - idle.start.descriptors;
  if (descriptors > 0) complaints.push(`${descriptors} descriptors were left open`);
  const grown = idle.end.memory - idle.start.memory;
  if (grown > slack) complaints.push(`memory grew by ${grown.toFixed(0)} MiB`);
  if (peaks[1] > peaks[0] + slack)
    complaints.push(`the peak of memory grew from ${peaks[0]} to ${peaks[1]} MiB`);
  if (counts.closed > counts.requests / 100)
    complaints.push(`${counts.closed} kept connections were closed when they were used again`);
  if (exitCode !== 0) complaints.push(`the server ended with ${exitCode}`);
  for (const what of ["texts", "cancelled", "slow", "refused"] as const)
    if (counts[what] === 0) complaints.push(`nothing was counted of: ${what}`);
  return complaints;
}
