import cliProgress from "cli-progress";

/** Shows people what runs and how long it will take; writes to stderr alone. */
export interface Progress {
  /** Begins a stage; returns a listener for how far it is. The stage before it ends. */
  stage(title: string): (done: number, total: number) => void;
  /** Says what a person should know, though the work goes on. */
  warn(text: string): void;
  /** Ends the last stage. */
  finish(): void;
}

/** No output. */
export const silent: Progress = { stage: () => () => {}, warn: () => {}, finish: () => {} };

/** A stage that takes longer says how far it is. */
const quietMs = 2000;
/** Without a terminal, a line now and then. */
const betweenLinesMs = 15_000;

/**
 * Stages as lines, and for those that take longer than two seconds how far they are and the time left: as a bar on a
 * terminal, else as a line every 15 seconds.
 */
export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let end = () => {};
  return {
    stage(title) {
      end();
      const started = Date.now();
      let lastLine = started;
      const estimate = new Estimate();
      let bar: cliProgress.SingleBar | undefined;
      end = () => {
        bar?.stop();
        stream.write(`${title.padEnd(44)} ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
      };
      return (done, total) => {
        const now = Date.now();
        estimate.add(now, done);
        if (now - started < quietMs) return;
        const left = duration(estimate.secondsLeft(total));
        if (stream.isTTY) {
          bar ??= startBar(stream, title, total, done, left);
          bar.update(done, { left });
        } else if (now - lastLine >= betweenLinesMs) {
          lastLine = now;
          stream.write(`${title}: ${Math.floor((100 * done) / total)} %, ${left} left\n`);
        }
      };
    },
    warn(text) {
      end();
      end = () => {};
      stream.write(`gsic: warning: ${text}\n`);
    },
    finish() {
      end();
      end = () => {};
    },
  };
}

function startBar(stream: NodeJS.WriteStream, title: string, total: number, done: number, left: string) {
  const bar = new cliProgress.SingleBar({
    stream,
    format: `${title.padEnd(30)} {bar} {percentage} %, {left} left`,
    clearOnComplete: true,
    hideCursor: true,
    barsize: 30,
  });
  bar.start(total, done, { left });
  return bar;
}

/** Time between the samples of an estimate, and how many of them it looks back. */
const sampleMs = 500;
const samples = 20;

/** The time left of a stage, by its speed during the last ten seconds. */
export class Estimate {
  private readonly seen: { time: number; done: number }[] = [];
  private done = 0;

  add(time: number, done: number): void {
    this.done = done;
    const last = this.seen.at(-1);
    if (last !== undefined && time - last.time < sampleMs) return;
    this.seen.push({ time, done });
    if (this.seen.length > samples) this.seen.shift();
  }

  /** Null while nothing can be said. */
  secondsLeft(total: number): number | null {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    if (first === undefined || last === undefined || last.done <= first.done) return null;
    return ((total - this.done) * (last.time - first.time)) / (last.done - first.done) / 1000;
  }
}

/** Seconds as people say them. */
export function duration(seconds: number | null): string {
  if (seconds === null) return "an unknown time";
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
