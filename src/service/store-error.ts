/** Why the store refuses something, for whoever asked. */

export type StoreErrorKind =
  /** No such database. */
  | "unknown"
  /** The database is known, and stopped, or is being stopped. */
  | "stopped"
  /** The whole store is shutting down. */
  | "closing";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
