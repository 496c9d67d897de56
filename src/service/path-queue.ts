/** Lets one task per path through at a time, in the order they came; tasks of different paths do not wait for each other. */
export class PathQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `task` when all earlier ones of this path are done, whether they failed or not. */
  run<T>(path: string, task: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(path) ?? Promise.resolve()).then(task);
    // The caller of a task hears of its failure; the next one only waits for its end.
    const tail: Promise<void> = result.then(
      () => this.#forget(path, tail),
      () => this.#forget(path, tail),
    );
    this.#tails.set(path, tail);
    return result;
  }

  /** Resolves when everything that was asked for until now is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  #forget(path: string, tail: Promise<void>): void {
    if (this.#tails.get(path) === tail) this.#tails.delete(path);
  }
}
