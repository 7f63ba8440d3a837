/** Ends a streamed text before the first of some sequences. Text that may yet become one is held back. */
export class StopSequences {
  #held = "";

  constructor(private readonly sequences: readonly string[]) {}

  /** The text that is certain now, and whether a sequence has come: nothing is to be pushed then. */
  push(text: string): { readonly text: string; readonly stopped: boolean } {
    this.#held += text;
    const found = this.sequences.map((one) => this.#held.indexOf(one)).filter((at) => at >= 0);
    if (found.length > 0) return { text: this.#take(Math.min(...found)), stopped: true };
    return { text: this.#take(this.#held.length - this.#maybe()), stopped: false };
  }

  /** What was held back, at the end of the text. */
  rest(): string {
    return this.#take(this.#held.length);
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }

  /** Length of the longest end of the held text with which a sequence begins. */
  #maybe(): number {
    const longest = Math.max(0, ...this.sequences.map((one) => one.length - 1));
    for (let length = Math.min(longest, this.#held.length); length > 0; length--) {
      const end = this.#held.slice(-length);
      if (this.sequences.some((one) => one.startsWith(end))) return length;
    }
    return 0;
  }
}
