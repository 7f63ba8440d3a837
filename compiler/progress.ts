import cliProgress from "cli-progress";

/** Shows people what runs and how long it will take; writes to stderr alone. */
export interface Progress {
  /** Begins a stage; returns a listener for how far it is. The stage before it ends. */
  stage(title: string): (done: number, total: number) => void;
  /** Ends the last stage. */
  finish(): void;
}

/** No output. */
export const silent: Progress = { stage: () => () => {}, finish: () => {} };

/** Stages as lines, with a bar and the time left for those that take more than two seconds on a terminal. */
export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let end = () => {};
  return {
    stage(title) {
      end();
      const started = Date.now();
      let bar: cliProgress.SingleBar | undefined;
      end = () => {
        bar?.stop();
        stream.write(`${title.padEnd(44)} ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
      };
      return (done, total) => {
        if (!stream.isTTY || Date.now() - started < 2000) return;
        if (bar === undefined) {
          bar = new cliProgress.SingleBar({
            stream,
            format: `${title.padEnd(30)} {bar} {percentage} %, {eta_formatted} left`,
            clearOnComplete: true,
            hideCursor: true,
            barsize: 30,
          });
          bar.start(total, done);
        }
        bar.update(done);
      };
    },
    finish() {
      end();
      end = () => {};
    },
  };
}
