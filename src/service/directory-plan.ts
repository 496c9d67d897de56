/** What a look into a folder means for the databases that are replicated from it. */

export interface DirectoryObservation {
  /** Paths of the databases that are in the folder now. */
  readonly found: readonly string[];
  /** Folders that could not be read: nothing is known of what is below them. */
  readonly unreadable: readonly string[];
  /** Paths that were taken from this folder before. */
  readonly own: ReadonlySet<string>;
  /** Whether a path is replicated, for whatever reason. */
  readonly isReplicated: (path: string) => boolean;
}

export interface DirectoryPlan {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/**
 * Decides which databases come and which go. One that somebody unregistered while its file is there stays out, and one
 * that is replicated by an entry of its own is left alone.
 */
export function planDirectory(observation: DirectoryObservation): DirectoryPlan {
  const { found, unreadable, own, isReplicated } = observation;
  const present = new Set(found);
  const isHidden = (path: string): boolean =>
    unreadable.some((folder) => path.startsWith(folder.endsWith("/") ? folder : `${folder}/`));
  return {
    add: found.filter((path) => !own.has(path) && !isReplicated(path)),
    remove: [...own].filter((path) => !present.has(path) && !isHidden(path)),
  };
}
