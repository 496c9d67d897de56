/** Paths as a configuration file or a command line gives them. */
import { homedir, userInfo } from "node:os";
import { resolve } from "node:path";

/**
 * The absolute path of `path`: `sqlite://` or `sqlite3://` before it is dropped, `~` and `~/…` are the home folder
 * of the current user (from the user database, not `$HOME`), a relative path is taken from `cwd`.
 */
export function expandPath(path: string, cwd: string = process.cwd()): string {
  const plain = stripSQLiteScheme(path);
  if (plain === "~") return userHome();
  if (plain.startsWith("~/")) return resolve(userHome(), plain.slice(2));
  return resolve(cwd, plain);
}

/** Whether an argument is a replica URL: `word://…`, but not a database path written `sqlite://…`. */
export function isReplicaURL(text: string): boolean {
  return /^\w+:\/\//.test(text) && stripSQLiteScheme(text) === text;
}

/** Drops `sqlite3://` or `sqlite://` when a path follows. */
export function stripSQLiteScheme(path: string): string {
  return path.replace(/^sqlite3?:\/\/(?=.)/, "");
}

/** Home folder of the current user, from the user database. */
export function userHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    // A numeric user without an entry in the user database, as containers have: $HOME is all there is.
    return homedir();
  }
}
