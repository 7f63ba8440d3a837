import cliProgress from "cli-progress";

/** Shows people what runs and how long it will take; writes to stderr alone. */
export interface Progress {
  /** Begins a stage; returns a listener for how far it is. The stage before it ends. */
  stage(title: string): (done: number, total: number) => void;
  /** Says what a person should know, though the work goes on. */
  warn(text: string): void;
  /** Says what a person may want to know. */
  note(text: string): void;
  /** Ends the last stage. */
  finish(): void;
}

/** No output. */
export const silent: Progress = { stage: () => () => {}, warn: () => {}, note: () => {}, finish: () => {} };

/** Ends the stage that runs in a terminal, if there is one. */
let finishRunning = () => {};

/** Ends a stage that failed, so that the error begins on a line of its own, and a terminal's cursor is there again. */
export function finishStages(): void {
  finishRunning();
}

/** A stage that takes longer says how far it is. */
const quietMs = 2000;
/** Without a terminal, a line now and then. */
const betweenLinesMs = 15_000;

/**
 * Stages as lines. What runs is named when it begins, since it may not let others run; if it takes longer than two seconds,
 * how far it is and the time left follow: as a bar on a terminal, else as a line every 15 seconds.
 */
export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let stage: Stage | undefined;
  const finish = () => {
    stage?.end();
    stage = undefined;
  };
  return {
    stage(title) {
      finish();
      const begun = new Stage(title, stream);
      stage = begun;
      finishRunning = finish;
      return (done, total) => begun.update(done, total);
    },
    warn(text) {
      finish();
      stream.write(`gsic: warning: ${text}\n`);
    },
    note(text) {
      finish();
      stream.write(`gsic: ${text}\n`);
    },
    finish,
  };
}

/** One stage on its stream. */
class Stage {
  private readonly started = Date.now();
  private readonly estimate = new Estimate();
  private lastLine = this.started;
  private bar: cliProgress.SingleBar | undefined;
  /** Whether the line with the title still waits for its time. */
  private open = true;

  constructor(
    private readonly title: string,
    private readonly stream: NodeJS.WriteStream,
  ) {
    stream.write(`${title.padEnd(44)} `);
  }

  update(done: number, total: number): void {
    const now = Date.now();
    this.estimate.add(now, done);
    if (now - this.started < quietMs) return;
    const left = duration(this.estimate.secondsLeft(total));
    if (this.stream.isTTY) {
      if (this.bar === undefined) this.stream.write(clearLine);
      this.bar ??= startBar(this.stream, this.title, total, done, left);
      this.bar.update(done, { left });
    } else if (now - this.lastLine >= betweenLinesMs) {
      this.lastLine = now;
      if (this.open) this.stream.write("\n");
      this.open = false;
      this.stream.write(`${this.title}: ${Math.floor((100 * done) / total)} %, ${left} left\n`);
    }
  }

  end(): void {
    this.bar?.stop();
    if (this.bar !== undefined || !this.open) this.stream.write(`${this.title.padEnd(44)} `);
    this.stream.write(`${((Date.now() - this.started) / 1000).toFixed(1)} s\n`);
  }
}

/** To the beginning of a terminal's line, which is emptied. */
const clearLine = "\r\x1b[K";

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

/** An estimate looks back over the last third of a stage: parts of other speeds even out, and what has passed is forgotten. */
const lookBack = 1 / 3;
/** Time between the samples of an estimate at first, and how many it keeps: with more, every second one goes. */
const sampleMs = 100;
const samples = 256;

/** How far a stage was at a time in milliseconds. */
interface Sample {
  readonly time: number;
  readonly done: number;
}

/** The time left of a stage, by its speed during the last third of the time that it has taken so far. */
export class Estimate {
  private seen: Sample[] = [];
  private latest: Sample | undefined;
  private spacing = sampleMs;

  /** `time` in milliseconds. */
  add(time: number, done: number): void {
    this.latest = { time, done };
    const last = this.seen.at(-1);
    if (last !== undefined && time - last.time < this.spacing) return;
    this.seen.push(this.latest);
    if (this.seen.length <= samples) return;
    this.seen = this.seen.filter((_, index) => index % 2 === 0);
    this.spacing *= 2;
  }

  /** Null while nothing can be said. */
  secondsLeft(total: number): number | null {
    const { seen, latest } = this;
    const first = seen[0];
    if (first === undefined || latest === undefined) return null;
    const from = latest.time - lookBack * (latest.time - first.time);
    // Where nothing was done since then, it looks back further.
    const start = seen.findLast(({ time, done }) => time <= from && time < latest.time && done < latest.done);
    if (start === undefined) return null;
    return ((total - latest.done) * (latest.time - start.time)) / (latest.done - start.done) / 1000;
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
