/** Hands each event to whoever wants it: the log, locks, metrics, the event endpoint. Readers come and go. */
import type { EmitEvent, EngineEvent } from "../engine/events.ts";

export class EventHub {
  readonly #readers = new Set<EmitEvent>();

  /** What the engine calls. A reader that fails is a mistake of the program: it ends with an uncaught exception, the engine's step does not. */
  readonly emit: EmitEvent = (event: EngineEvent) => {
    for (const read of this.#readers) {
      try {
        read(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };

  /** Calls `read` with every event from now on, in order, until the result is disposed of. */
  subscribe(read: EmitEvent): Disposable {
    const own: EmitEvent = (event) => read(event);
    this.#readers.add(own);
    return { [Symbol.dispose]: () => this.#readers.delete(own) };
  }
}
