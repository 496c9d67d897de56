/**
 * The whole database at one TXID, streamed as an LTX file while writers and checkpoints go on.
 *
 * A read transaction of its own begins at a moment when everything committed is copied soon after. It keeps everybody from
 * backfilling beyond its mark, and so the database file from becoming newer than the TXID named; what the WAL holds up to there is
 * mapped once. All it holds up is the reuse of the WAL, which therefore grows: the user of a view watches `heldWALBytes`.
 *
 * With everything backfilled the transaction is on read slot 0: then one restart of the WAL is permitted and nobody backfills. After
 * it the database file alone is the whole state, so a page read from the WAL counts only if the WAL's header is still the same.
 */
import { createLTXHeader } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import { openReader } from "../sqlite/connection.ts";
import type { OpenConnection, SQLiteConnection } from "../sqlite/driver.ts";
import type { Clock } from "./clock.ts";
import { fillConsecutive } from "./ltx-file.ts";
import type { OpenedDatabase } from "./opened-database.ts";
import { snapshotChunks, snapshotThreads } from "./snapshot-chunks.ts";
import type { FillPages } from "./snapshot-chunks.ts";
import { WALFile } from "./wal-file.ts";

/** A consistent state to be read from beginning to end. */
export interface SnapshotView extends Disposable {
  readonly txid: TXID;
  /** Header of the snapshot: TXIDs 1 to `txid`, the time at which the view was taken. */
  readonly header: LTXHeader;
  /** About how many bytes will come, at most. */
  readonly sizeHintBytes: number;
  /** Bytes by which the WAL has grown since: it cannot be reused before the view is closed. */
  readonly heldWALBytes: number;
  /** The LTX file in chunks of memory of their own. Read as slowly as need be; to be called once. */
  chunks(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

export class DatabaseView implements SnapshotView {
  readonly txid: TXID;
  readonly header: LTXHeader;
  readonly #opened: OpenedDatabase;
  readonly #reader: SQLiteConnection;
  readonly #wal: WALFile;
  readonly #walHeader: WALHeader;
  readonly #onClose: () => void;
  /** Page → WAL offset; null once the WAL was restarted, when everything is in the database file. */
  #pages: ReadonlyMap<number, number> | null;
  #isClosed = false;

  private constructor(parts: {
    readonly opened: OpenedDatabase;
    readonly reader: SQLiteConnection;
    readonly wal: WALFile;
    readonly walHeader: WALHeader;
    readonly pages: ReadonlyMap<number, number>;
    readonly header: LTXHeader;
    readonly onClose: () => void;
  }) {
    this.#opened = parts.opened;
    this.#reader = parts.reader;
    this.#wal = parts.wal;
    this.#walHeader = parts.walHeader;
    this.#pages = parts.pages;
    this.header = parts.header;
    this.txid = parts.header.maxTXID;
    this.#onClose = parts.onClose;
  }

  /**
   * Takes a view. Everything committed must be copied when it is called, and `syncAll` copies what came since. Null: there is
   * nothing copied yet. The caller sees to it that nothing else syncs or closes the database meanwhile.
   */
  static async open(
    opened: OpenedDatabase,
    deps: {
      readonly openConnection: OpenConnection;
      readonly clock: Clock;
      readonly syncAll: () => Promise<void>;
      readonly onClose: (view: DatabaseView) => void;
    },
  ): Promise<DatabaseView | null> {
    using stack = new DisposableStack();
    const reader = stack.use(openReader(deps.openConnection, opened.path));
    reader.exec("BEGIN");
    // BEGIN alone takes no mark: the first read does.
    reader.get("SELECT count(*) FROM _litestream_seq");
    await deps.syncAll();
    const resume = opened.sync.resume;
    const wal = WALFile.open(`${opened.path}-wal`);
    if (wal === null) return null;
    stack.use(wal);
    const walHeader = wal.header();
    const isCopied = resume !== null && resume.txid > 0n && resume.commit > 0;
    if (!isCopied || walHeader === null || !isGeneration(walHeader, resume.mark)) return null;
    const length = resume.offset - WAL_HEADER_SIZE;
    const { salt1, salt2, checksum1, checksum2 } = walHeader;
    const start = {
      header: walHeader,
      offset: WAL_HEADER_SIZE,
      mark: { salt1, salt2, checksum1, checksum2 },
    };
    const stretch = length === 0 ? null : await wal.scan(start, length);
    if (stretch !== null && stretch.endOffset !== resume.offset) return null;
    const frameSize = WAL_FRAME_HEADER_SIZE + opened.pageSize;
    const header = createLTXHeader({
      pageSize: opened.pageSize,
      commit: resume.commit,
      minTXID: 1n,
      maxTXID: resume.txid,
      timestampMs: deps.clock.now(),
      walOffset: length === 0 ? WAL_HEADER_SIZE : resume.offset - frameSize,
      walSize: length === 0 ? 0 : frameSize,
      walSalt1: walHeader.salt1,
      walSalt2: walHeader.salt2,
    });
    stack.move();
    const view: DatabaseView = new DatabaseView({
      opened,
      reader,
      wal,
      walHeader,
      pages: stretch?.pages ?? new Map<number, number>(),
      header,
      onClose: () => deps.onClose(view),
    });
    return view;
  }

  get sizeHintBytes(): number {
    return this.header.commit * this.header.pageSize;
  }

  get heldWALBytes(): number {
    const { sync } = this.#opened;
    const mark = sync.resume?.mark;
    const isSame = mark !== undefined && isGeneration(this.#walHeader, mark);
    return sync.walOffset - (isSame ? this.header.walOffset + this.header.walSize : 0);
  }

  chunks(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const fill: FillPages = (target, pgnos) => this.#fill(target, pgnos);
    const threads = snapshotThreads(this.sizeHintBytes);
    return snapshotChunks(this.header, fill, { threads, signal });
  }

  #fill(target: Uint8Array, pgnos: Uint32Array): void {
    this.#requireOpen();
    const database = this.#opened.file;
    const { pageSize } = this.header;
    if (this.#pages !== null) {
      try {
        fillConsecutive(target, pgnos, pageSize, { database, wal: this.#wal, pages: this.#pages });
        // SQLite writes the new header before the first frame that overwrites an old one.
        if (isSameHeader(this.#wal.header(), this.#walHeader)) return;
      } catch (error) {
        if (isSameHeader(this.#wal.header(), this.#walHeader)) throw error;
      }
      this.#pages = null;
    }
    fillConsecutive(target, pgnos, pageSize, { database, wal: null, pages: new Map() });
  }

  /** Descriptors are numbers that may be given to another file once closed. */
  #requireOpen(): void {
    if (this.#isClosed)
      throw new Error(
        `Cannot read the snapshot of "${this.#opened.path}": the database was closed`,
      );
    if (!this.#reader.inTransaction)
      throw new Error(`Cannot read the snapshot of "${this.#opened.path}": its read lock was lost`);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wal[Symbol.dispose]();
    this.#reader.close();
    this.#onClose();
  }
}

function isGeneration(
  header: WALHeader,
  mark: { readonly salt1: number; readonly salt2: number },
): boolean {
  return header.salt1 === mark.salt1 && header.salt2 === mark.salt2;
}

function isSameHeader(a: WALHeader | null, b: WALHeader): boolean {
  return (
    a !== null && isGeneration(a, b) && a.checksum1 === b.checksum1 && a.checksum2 === b.checksum2
  );
}
