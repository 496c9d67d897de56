/** Decides whether LTX files or a v0.3 backup of the same replica give the wanted state. Pure. */
import type { RestorePlan } from "./restore-plan.ts";
import type { V3RestorePlan } from "./restore-v3-plan.ts";

export type BackupFormat = "ltx" | "v3";

/**
 * The format whose state is newer, of the states that both plans reach within the same bounds. A plan that found nothing
 * leaves it to the other; a gap does not: an older state in place of the newest one would be a silent loss.
 */
export function chooseBackupFormat(ltx: RestorePlan, v3: V3RestorePlan): BackupFormat {
  const v3At = v3.reachedAt;
  if (v3At === undefined) return isEmpty(ltx) && !isEmpty(v3) ? "v3" : "ltx";
  const ltxAt = newestLTXTime(ltx);
  return ltxAt === undefined || v3At > ltxAt ? "v3" : "ltx";
}

function isEmpty(plan: RestorePlan | V3RestorePlan): boolean {
  return plan.kind === "refused" && plan.nothingAtAll;
}

/** The time that a plan reaches, or would if nothing were missing. */
export function newestLTXTime(plan: RestorePlan): Date | undefined {
  if (plan.kind === "restore") return plan.reached.createdAt;
  return plan.behindGap.at(-1)?.createdAt ?? plan.lastReachable?.createdAt;
}
