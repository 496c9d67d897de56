/** Judges a replica by what reading its files has shown: which levels continue, and whether the newest state is there. Pure. */
import { formatLTXName, SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID, type TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo, LTXFileName } from "../storage/replica-client.ts";
import { checkLevel, type LevelProblem } from "./level-plan.ts";
import { connectFiles, planRestore, type RestorePoint } from "./restore-plan.ts";

export interface ReplicaProblem {
  /**
   * damaged, misnamed, missing, unreadable   a file is not what its name says
   * gap, overlap, unsorted                   a file does not continue the one before
   * empty, not-restorable                    of the whole replica
   */
  readonly kind:
    | "damaged"
    | "misnamed"
    | "missing"
    | "unreadable"
    | LevelProblem["kind"]
    | "empty"
    | "not-restorable";
  /** Undefined: of the whole replica. */
  readonly level: number | undefined;
  /** Name of the file that shows it. */
  readonly file: string | undefined;
  readonly message: string;
  readonly hint: string;
  /** No restore of the newest state needs what is not there. */
  readonly isHarmless: boolean;
}

export interface LevelVerdict {
  readonly level: number;
  readonly files: number;
  readonly sizeBytes: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  /** Its files were read, not only listed. */
  readonly isRead: boolean;
}

export interface ReplicaVerdict {
  /** Nothing is wrong, or only what is harmless. */
  readonly isWhole: boolean;
  /** Levels that hold files, ascending. */
  readonly levels: readonly LevelVerdict[];
  readonly problems: readonly ReplicaProblem[];
  /** The newest state that undamaged files give; undefined: none. */
  readonly newest: RestorePoint | undefined;
}

export interface VerifiedFiles {
  /** Everything listed, in the order of the listings. */
  readonly files: readonly LTXFileInfo[];
  /** What is wrong with single files. */
  readonly broken: ReadonlyMap<LTXFileName, ReplicaProblem>;
  /** The levels whose files were read. */
  readonly levels: readonly number[];
  /** It holds a backup of version 0.3. */
  readonly holdsV3: boolean;
}

/** Joins what is wrong with files, with levels and with the whole. */
export function judgeReplica(verified: VerifiedFiles): ReplicaVerdict {
  const { files, broken, levels } = verified;
  if (files.length === 0) {
    return { isWhole: false, levels: [], problems: [emptyProblem(verified)], newest: undefined };
  }
  const sound = files.filter((file) => !broken.has(file));
  const plan = planRestore(sound, { kind: "latest" });
  const wanted = files.reduce((max, file) => (file.maxTXID > max ? file.maxTXID : max), 0n);
  const newest = plan.kind === "restore" ? plan.reached : plan.lastReachable;
  const problems: ReplicaProblem[] = [];
  for (const level of levels) {
    const ofLevel = files.filter((file) => file.level === level);
    for (const file of ofLevel) {
      const problem = broken.get(file);
      if (problem !== undefined) problems.push(problem);
    }
    if (level !== SNAPSHOT_LEVEL) problems.push(...levelProblems(ofLevel, sound));
  }
  if (plan.kind === "refused") {
    const hint = plan.hint ?? "Take a new snapshot, or restore another replica";
    problems.push(wholeProblem("not-restorable", plan.message, hint));
  } else if (plan.reached.txid < wanted) {
    const message = `The newest state, TXID ${formatTXID(wanted)}, cannot be restored: undamaged files end at ${formatTXID(plan.reached.txid)}`;
    const hint = "Take a new snapshot while the database is there: litestream snapshot DB_PATH";
    problems.push(wholeProblem("not-restorable", message, hint));
  }
  return {
    isWhole: problems.every(({ isHarmless }) => isHarmless),
    levels: levelVerdicts(files, levels),
    problems,
    newest,
  };
}

function levelProblems(
  ofLevel: readonly LTXFileInfo[],
  sound: readonly LTXFileInfo[],
): ReplicaProblem[] {
  const snapshots = sound.filter(({ level }) => level === SNAPSHOT_LEVEL);
  return checkLevel(ofLevel, snapshots).map(({ kind, before, after, isBridged, message }) => {
    const isCovered = kind === "gap" && !isBridged && otherLevelsLead(sound, before, after);
    const { isHarmless, remark, hint } = judgeStep(kind, isBridged, isCovered);
    return {
      kind,
      level: after.level,
      file: formatLTXName(after.minTXID, after.maxTXID),
      message: remark === "" ? message : `${message}: ${remark}`,
      hint,
      isHarmless,
    };
  });
}

function judgeStep(
  kind: LevelProblem["kind"],
  isBridged: boolean,
  isCovered: boolean,
): { readonly isHarmless: boolean; readonly remark: string; readonly hint: string } {
  if (isBridged || isCovered) {
    const by = isBridged ? "a snapshot" : "other levels";
    const hint = "Nothing to do: restores of the newest state do not need the missing files";
    return { isHarmless: true, remark: `bridged by ${by}`, hint };
  }
  if (kind === "gap") {
    const hint =
      "Bring the missing files back, or take a new snapshot: litestream snapshot DB_PATH";
    return { isHarmless: false, remark: "nothing bridges it", hint };
  }
  return { isHarmless: true, remark: "", hint: "Nothing to do: restores choose among such files" };
}

function otherLevelsLead(
  sound: readonly LTXFileInfo[],
  before: LTXFileInfo,
  after: LTXFileInfo,
): boolean {
  const others = sound.filter(({ level }) => level !== after.level && level !== SNAPSHOT_LEVEL);
  const reached = connectFiles(others, before.maxTXID).at(-1)?.maxTXID ?? 0n;
  return reached + 1n >= after.minTXID;
}

function levelVerdicts(files: readonly LTXFileInfo[], read: readonly number[]): LevelVerdict[] {
  const verdicts: LevelVerdict[] = [];
  for (let level = 0; level <= SNAPSHOT_LEVEL; level++) {
    const ofLevel = files.filter((file) => file.level === level);
    const first = ofLevel[0];
    if (first === undefined) continue;
    verdicts.push({
      level,
      files: ofLevel.length,
      sizeBytes: ofLevel.reduce((sum, file) => sum + file.sizeBytes, 0),
      minTXID: ofLevel.reduce((min, { minTXID }) => (minTXID < min ? minTXID : min), first.minTXID),
      maxTXID: ofLevel.reduce((max, { maxTXID }) => (maxTXID > max ? maxTXID : max), first.maxTXID),
      isRead: read.includes(level),
    });
  }
  return verdicts;
}

function emptyProblem({ holdsV3 }: VerifiedFiles): ReplicaProblem {
  return holdsV3
    ? wholeProblem(
        "empty",
        "The replica holds no LTX files, only a backup of Litestream 0.3, which verify does not read",
        'Prove it by a restore: "litestream restore -integrity-check full -o NEW_FILE …"',
      )
    : wholeProblem(
        "empty",
        "The replica holds no LTX files: nothing can be restored",
        'Check the path, or replicate into it: "litestream replicate"',
      );
}

function wholeProblem(
  kind: "empty" | "not-restorable",
  message: string,
  hint: string,
): ReplicaProblem {
  return { kind, level: undefined, file: undefined, message, hint, isHarmless: false };
}
