/**
 * The database that a follower keeps current, changed as SQLite itself would change it: with SQLite's locks, and with a
 * rollback journal, so that readers see one committed state or another and a crash is undone by whoever opens it next.
 *
 * The lock is SQLite's own: a connection that holds BEGIN EXCLUSIVE keeps every reader of this and other processes out. The
 * pages are written through one descriptor that is opened before that connection and closed after it (the lock rule).
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import {
  encodeJournalHeader,
  JOURNAL_HEADER_SIZE,
  journalRecordSize,
  sealJournalRecord,
} from "../formats/rollback-journal.ts";
import {
  decodeSQLiteHeader,
  isSQLiteMagic,
  lockPgno,
  SQLITE_HEADER_SIZE,
} from "../formats/sqlite-header.ts";
import type { SQLiteHeader } from "../formats/sqlite-header.ts";
import { isBusy } from "../sqlite/driver.ts";
import type { SQLiteConnection } from "../sqlite/driver.ts";
import { openConnection } from "../sqlite/node-sqlite.ts";
import { syncFolderOf } from "./follow-position.ts";
import { hasBit, setBit } from "./follow-pages.ts";
import type { FollowPages } from "./follow-pages.ts";

const fsyncAsync = promisify(fsync);
/** Pages written between two turns of the event loop: about 1 MiB. */
const SLICE_BYTES = 1 << 20;
/** While an attempt waits so long, SQLite lets no new reader in, so that readers that overlap cannot keep us out for ever. */
const INSISTING_MS = 100;
/** SQLite's file format number for a database in rollback mode. */
const ROLLBACK_MODE = 1;

/** Somebody else holds the database: try again later. */
export class DatabaseBusyError extends Error {
  override readonly name = "DatabaseBusyError";
}

/** Somebody else has written to the database: its state is not the one that is followed. */
export class ForeignWriteError extends Error {
  override readonly name = "ForeignWriteError";
}

/** A prepared update: the journal that undoes it is durable, under a name that SQLite does not look for. */
export interface PreparedUpdate {
  readonly pages: FollowPages;
  /** Pages that differ from those of the database, one bit each. */
  readonly changed: Uint8Array;
  readonly changedCount: number;
  readonly before: DatabaseState;
}

interface DatabaseState extends SQLiteHeader {
  readonly sizeBytes: number;
}

export class FollowedDatabase implements Disposable {
  readonly path: string;
  readonly #fd: number;
  readonly #connection: SQLiteConnection;
  #state: DatabaseState;

  /**
   * Opens it; an interrupted update is undone. DatabaseBusyError when somebody keeps it from being read, or has it open in
   * WAL mode.
   */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, "r+");
    try {
      this.#connection = openConnection({ path });
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    try {
      this.#settle();
      this.#state = this.#readState();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get pageSize(): number {
    return this.#state.pageSize;
  }

  get pageCount(): number {
    return Math.floor(this.#state.sizeBytes / this.#state.pageSize);
  }

  /** Whether the path still leads to this file. */
  isCurrent(): boolean {
    const named = statSync(this.path, { throwIfNoEntry: false });
    const ours = fstatSync(this.#fd);
    return named?.ino === ours.ino && named.dev === ours.dev;
  }

  /** Reads what the update would change and makes the journal for it. The database is not touched. */
  async prepare(pages: FollowPages, signal: AbortSignal): Promise<PreparedUpdate> {
    if (pages.commit === 0) throw new Error("An update would leave a database without pages");
    // Whatever the file says now is what the journal keeps; the lock proves later that it has not changed.
    const before = this.#readState();
    const nonce = randomBytes(4).readUInt32BE();
    const journal = new JournalWriter(this.#journalPath("-journal.tmp"), before, {
      nonce,
      // Whoever may write the database must be able to undo what was interrupted.
      mode: fstatSync(this.#fd).mode & 0o777,
    });
    try {
      const changed = new Uint8Array((pages.commit >>> 3) + 1);
      const changedCount = await this.#compare(pages, before, journal, changed, signal);
      await journal.finish(this.pageCountOf(before));
      return { pages, changed, changedCount, before };
    } finally {
      journal.close();
    }
  }

  /**
   * Takes the lock and makes the update; resolves when it is durable. `insist` waits a moment for readers to leave, and lets no
   * new ones in meanwhile. DatabaseBusyError, ForeignWriteError: nothing has been changed. After any other failure the
   * database is as it was.
   */
  async apply({ pages, changed, before }: PreparedUpdate, insist: boolean): Promise<void> {
    this.#lock(insist);
    let isWritten = false;
    try {
      this.#proveUnchanged(before);
      renameSync(this.#journalPath("-journal.tmp"), this.#journalPath("-journal"));
      await syncFolderOf(this.path);
      await this.#writePages(pages, changed, before);
      ftruncateSync(this.#fd, pages.commit * pages.pageSize);
      await fsyncAsync(this.#fd);
      unlinkSync(this.#journalPath("-journal"));
      await syncFolderOf(this.path);
      isWritten = true;
    } finally {
      this.#connection.exec("ROLLBACK");
      // SQLite finds the journal and undoes what was written.
      if (!isWritten) this.#settle();
      this.#state = this.#readState();
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
    closeSync(this.#fd);
    rmSync(this.#journalPath("-journal.tmp"), { force: true });
  }

  pageCountOf({ sizeBytes, pageSize }: DatabaseState): number {
    return Math.floor(sizeBytes / pageSize);
  }

  /** Journals every page that changes or is cut off, and marks those to be written. */
  async #compare(
    pages: FollowPages,
    before: DatabaseState,
    journal: JournalWriter,
    changed: Uint8Array,
    signal: AbortSignal,
  ): Promise<number> {
    const samePages = before.pageSize === pages.pageSize;
    const oldCount = this.pageCountOf(before);
    const lock = lockPgno(before.pageSize);
    const oldPage = journal.page;
    const newPage = new Uint8Array(pages.pageSize);
    let changedCount = 0;
    let untilTurn = SLICE_BYTES;
    for (let pgno = 1; pgno <= Math.max(oldCount, pages.commit); pgno++) {
      // Its change counter moves with every update, so that readers drop what they have cached.
      let isChanged = pgno === 1 || pages.has(pgno);
      if (!isChanged && samePages && pgno <= pages.commit) continue;
      untilTurn -= before.pageSize;
      if (untilTurn <= 0) {
        await setImmediate();
        signal.throwIfAborted();
        untilTurn = SLICE_BYTES;
      }
      if (pgno <= oldCount && pgno !== lock) {
        this.#read(oldPage, (pgno - 1) * before.pageSize);
        if (samePages && isChanged && pgno > 1) {
          pages.read(newPage, 0, pgno);
          isChanged = Buffer.compare(oldPage, newPage) !== 0;
          if (!isChanged) continue;
        }
        journal.append(pgno);
      }
      if (isChanged && pgno <= pages.commit) {
        setBit(changed, pgno);
        changedCount += 1;
      }
    }
    return changedCount;
  }

  async #writePages(pages: FollowPages, changed: Uint8Array, before: DatabaseState): Promise<void> {
    const { pageSize, commit } = pages;
    const page = new Uint8Array(pageSize);
    let untilTurn = SLICE_BYTES;
    for (let pgno = 1; pgno <= commit; pgno++) {
      if (!hasBit(changed, pgno)) continue;
      if (pages.has(pgno)) pages.read(page, 0, pgno);
      else this.#read(page, (pgno - 1) * pageSize);
      if (pgno === 1) stampFirstPage(page, before.changeCounter + 1, commit);
      writeFully(this.#fd, page, (pgno - 1) * pageSize);
      untilTurn -= pageSize;
      if (untilTurn > 0) continue;
      await setImmediate();
      untilTurn = SLICE_BYTES;
    }
  }

  /** Reads once, so that SQLite undoes an update that was interrupted, and leaves WAL mode. */
  #settle(): void {
    try {
      const mode = this.#connection.get("PRAGMA journal_mode")?.["journal_mode"];
      this.#connection.get("SELECT count(*) FROM sqlite_schema");
      if (mode !== "wal") return;
      // In WAL mode readers do not look at the locks that protect the file from being overwritten.
      this.#connection.get("PRAGMA journal_mode = DELETE");
    } catch (error) {
      throw asBusy(error, this.path);
    }
    if (this.#readState().writeVersion !== ROLLBACK_MODE) {
      throw new DatabaseBusyError(`Another program has "${this.path}" open in WAL mode`);
    }
  }

  #lock(insist: boolean): void {
    if (this.#readState().writeVersion !== ROLLBACK_MODE) this.#settle();
    try {
      this.#connection.exec(`PRAGMA busy_timeout = ${insist ? INSISTING_MS : 0}`);
      this.#connection.exec("BEGIN EXCLUSIVE");
    } catch (error) {
      throw asBusy(error, this.path);
    }
  }

  #proveUnchanged(before: DatabaseState): void {
    const now = this.#readState();
    if (now.writeVersion !== ROLLBACK_MODE || now.readVersion !== ROLLBACK_MODE) {
      throw new DatabaseBusyError(`Another program has put "${this.path}" into WAL mode`);
    }
    if (now.changeCounter === before.changeCounter && now.sizeBytes === before.sizeBytes) return;
    throw new ForeignWriteError(`Another program has written to "${this.path}"`);
  }

  /** Whether its content is still what the last update left. */
  proveOurs(): void {
    const { writeVersion } = this.#readState();
    if (writeVersion !== ROLLBACK_MODE) this.#settle();
    this.#proveUnchanged(this.#state);
  }

  /** Takes the content as it is for the state to be changed by the next update. */
  acceptContent(): void {
    this.#settle();
    this.#state = this.#readState();
  }

  #readState(): DatabaseState {
    const bytes = new Uint8Array(SQLITE_HEADER_SIZE);
    readSync(this.#fd, bytes, 0, bytes.length, 0);
    return { ...decodeSQLiteHeader(bytes), sizeBytes: fstatSync(this.#fd).size };
  }

  #read(target: Uint8Array, position: number): void {
    if (readSync(this.#fd, target, 0, target.length, position) < target.length) {
      throw new Error(`Cannot read "${this.path}" at ${position}: the file is shorter`);
    }
  }

  #journalPath(suffix: string): string {
    return this.path + suffix;
  }
}

/** The change counter, by which readers notice that their caches are old, and what goes with it (formats §9). */
function stampFirstPage(page: Uint8Array, counter: number, commit: number): void {
  if (!isSQLiteMagic(page)) throw new Error("An update would leave a file that is no database");
  const view = new DataView(page.buffer, page.byteOffset);
  view.setUint8(18, ROLLBACK_MODE);
  view.setUint8(19, ROLLBACK_MODE);
  view.setUint32(24, counter >>> 0);
  view.setUint32(28, commit);
  view.setUint32(92, counter >>> 0);
}

/** Puts a restored file, which nobody has open, into rollback mode. Making it durable is part of it. */
export async function leaveWALMode(path: string): Promise<void> {
  const fd = openSync(path, "r+");
  try {
    writeFully(fd, Uint8Array.of(ROLLBACK_MODE, ROLLBACK_MODE), 18);
    await fsyncAsync(fd);
  } finally {
    closeSync(fd);
  }
}

class JournalWriter {
  readonly #fd: number;
  readonly #before: DatabaseState;
  readonly #nonce: number;
  readonly #record: Uint8Array;
  /** Where to put the page that `append()` takes. */
  readonly page: Uint8Array;
  #count = 0;

  constructor(
    path: string,
    before: DatabaseState,
    { nonce, mode }: { readonly nonce: number; readonly mode: number },
  ) {
    this.#fd = openSync(path, "w", mode);
    this.#before = before;
    this.#nonce = nonce;
    this.#record = new Uint8Array(journalRecordSize(before.pageSize));
    this.page = this.#record.subarray(4, 4 + before.pageSize);
  }

  append(pgno: number): void {
    const { pageSize } = this.#before;
    sealJournalRecord(this.#record, 0, pgno, { nonce: this.#nonce, pageSize });
    const position = JOURNAL_HEADER_SIZE + this.#count * this.#record.length;
    writeFully(this.#fd, this.#record, position);
    this.#count += 1;
  }

  async finish(pageCount: number): Promise<void> {
    const header = { recordCount: this.#count, nonce: this.#nonce, pageCount };
    writeFully(this.#fd, encodeJournalHeader({ ...header, pageSize: this.#before.pageSize }), 0);
    await fsyncAsync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

function asBusy(error: unknown, path: string): unknown {
  if (!isBusy(error)) return error;
  return new DatabaseBusyError(`Another program is reading or writing "${path}"`, { cause: error });
}
