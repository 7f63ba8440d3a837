/**
 * An end that comes to many at once. AbortSignal.any would do, but a signal that lives as long as the server keeps, on
 * Node 20, a weak reference to each signal that was made from it, for ever: 200 bytes a request.
 */
export class CommonEnd {
  readonly #controllers = new Set<AbortController>();
  #reason: Error | undefined;

  /** Aborts the controller when the end comes, or now if it has; the result forgets the controller. */
  reaches(controller: AbortController): () => void {
    this.#controllers.add(controller);
    if (this.#reason !== undefined) controller.abort(this.#reason);
    return () => this.#controllers.delete(controller);
  }

  /** Throws the reason once the end has come. */
  throwIfReached(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** The end comes; the first reason counts. */
  reach(reason: Error): void {
    this.#reason ??= reason;
    for (const controller of this.#controllers) controller.abort(this.#reason);
  }
}
