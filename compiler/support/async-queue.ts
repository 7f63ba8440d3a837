/** Values on their way from whoever makes them to one reader. It holds neither. */
export class AsyncQueue<T> {
  #values: T[] = [];
  #ended = false;
  #error: { readonly cause: unknown } | undefined;
  #wake = () => {};

  readonly push = (value: T): void => {
    this.#values.push(value);
    this.#wake();
  };

  /** Nothing follows; with an argument, the reader is thrown it behind the last value. */
  readonly end = (...error: unknown[]): void => {
    this.#ended = true;
    if (error[0] !== undefined) this.#error = { cause: error[0] };
    this.#wake();
  };

  /** The next value; null at the end. Throws what the queue ended with. */
  async next(): Promise<T | null> {
    while (this.#values.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const value = this.#values.shift();
    if (value === undefined && this.#error !== undefined) throw this.#error.cause;
    return value ?? null;
  }
}
