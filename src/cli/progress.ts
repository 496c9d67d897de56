/** A line on a terminal that tells how far something is, redrawn in place; nothing where there is no terminal. */
import { formatHumanSize } from "./human-size.ts";
import type { CommandIO } from "./io.ts";

const REDRAW_MS = 100;
const BAR_COLUMNS = 24;

export interface Progress {
  readonly label: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export class ProgressLine implements Disposable {
  readonly #io: CommandIO;
  readonly #now: () => number;
  readonly #startedAt: number;
  #drawnAt = -Infinity;
  #drawn = false;

  /** `now` is monotonic milliseconds. */
  constructor(io: CommandIO, now: () => number = () => performance.now()) {
    this.#io = io;
    this.#now = now;
    this.#startedAt = now();
  }

  /** Draws the state, at most ten times a second. */
  show(progress: Progress): void {
    const now = this.#now();
    if (!this.#io.stderrIsTerminal || now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#drawn = true;
    const text = formatProgress(progress, now - this.#startedAt);
    this.#io.stderr(`\r\u001b[2K${text.slice(0, Math.max(1, this.#io.columns - 1))}`);
  }

  /** Removes the line. */
  [Symbol.dispose](): void {
    if (this.#drawn) this.#io.stderr("\r\u001b[2K");
    this.#drawn = false;
  }
}

/** For example `restoring [######····] 25%  262 MB of 1.0 GB  210 MB/s  3s left`. */
export function formatProgress(
  { label, bytesDone, bytesTotal }: Progress,
  elapsedMs: number,
): string {
  if (bytesTotal <= 0) return `${label} …`;
  const part = Math.min(1, bytesDone / bytesTotal);
  const filled = Math.floor(part * BAR_COLUMNS);
  const bar = "#".repeat(filled) + "\u00b7".repeat(BAR_COLUMNS - filled);
  const percent = `${Math.floor(part * 100)}%`.padStart(4);
  const sizes = `${formatHumanSize(bytesDone)} of ${formatHumanSize(bytesTotal)}`;
  const perSecond = elapsedMs > 0 ? bytesDone / (elapsedMs / 1000) : 0;
  const rate = perSecond > 0 ? `  ${formatHumanSize(Math.floor(perSecond))}/s` : "";
  const left =
    perSecond > 0 && elapsedMs > 1000
      ? `  ${Math.ceil((bytesTotal - bytesDone) / perSecond)}s left`
      : "";
  return `${label} [${bar}]${percent}  ${sizes}${rate}${left}`;
}
