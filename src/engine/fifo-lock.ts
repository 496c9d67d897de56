/** Lets one task at a time through, in the order they came. */
export class FIFOLock {
  #tail: Promise<void> = Promise.resolve();

  /** Runs `task` when all earlier ones are done. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.then(
      () => undefined,
      // The caller of that task hears of its failure; the next one only waits for its end.
      () => undefined,
    );
    return result;
  }
}
