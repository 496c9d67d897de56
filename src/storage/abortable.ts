/** Streams that end with the signal's reason even while their source hangs. */

/**
 * The chunks of `source`; rejects with the signal's reason as soon as it is aborted, also in the middle of waiting for
 * a chunk. The source is told to return in every case.
 */
export async function* abortable<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  let rejectWait: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => rejectWait?.(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let atEnd = false;
  try {
    for (;;) {
      // A promise of its own per chunk: racing against one long-lived promise would keep every chunk's reaction.
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        rejectWait = reject;
        if (signal.aborted) reject(signal.reason);
        else iterator.next().then(resolve, reject);
      });
      rejectWait = undefined;
      if (result.done === true) {
        atEnd = true;
        return;
      }
      yield result.value;
    }
  } catch (error) {
    atEnd = !signal.aborted;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!atEnd) await returnIterator(iterator, signal);
  }
}

/** Ends a source early. One that hangs must not hold up an abort, so its return is awaited only without one. */
async function returnIterator<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<void> {
  const returned = iterator.return?.();
  if (returned === undefined) return;
  // After an abort the signal's reason is what the caller gets; how the source ends no longer matters.
  if (signal.aborted) returned.catch(() => undefined);
  else await returned;
}

/** The result of `promise`, or the signal's reason as soon as it is aborted, whatever becomes of the promise then. */
export async function raceAbort<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * The results of `act` in the order of the items, with up to `width` calls under way. Ends with the first failure in that
 * order.
 */
export async function* mapInOrder<T, R>(
  items: Iterable<T>,
  width: number,
  act: (item: T) => Promise<R>,
): AsyncGenerator<R, void> {
  const running: Promise<R>[] = [];
  for (const item of items) {
    const call = act(item);
    // Whoever leaves early does not wait for the calls behind: their failures then concern nobody.
    call.catch(() => undefined);
    running.push(call);
    if (running.length < width) continue;
    const first = await running.shift();
    yield first as R;
  }
  for (const call of running) yield await call;
}
