/** How a body is cut into parts. */

/** S3's limit. */
const MAX_PARTS = 10_000;
/** Some stores allow no more; and a thousand requests are enough for anything. */
const fewParts = 1_000;
const MIB = 1024 * 1024;
/** Parts grow up to this for the sake of few parts, beyond it only for the sake of S3's limit. */
const comfortableBytes = 64 * MIB;
/** Memory of the parts in flight of one upload, as long as one part fits in. */
const budgetBytes = 96 * MIB;

export interface PartPlan {
  /** Size of part `number` (from 1); the last one is shorter. */
  readonly sizeOfPart: (number: number) => number;
  /** Parts sent at once. */
  readonly inFlight: number;
}

export interface PartSettings {
  readonly partSizeBytes: number;
  readonly concurrency: number;
  readonly equalParts: boolean;
}

/**
 * Parts for a body of `sizeBytes`, or of a size nobody knows. They grow with the body: to have at most 1,000 of them up to
 * 62 GiB and at most 10,000 after that. For an unknown size they double every 1,000 parts, unless the store wants them
 * equal.
 */
export function planParts(sizeBytes: number | undefined, settings: PartSettings): PartPlan {
  const { partSizeBytes, concurrency, equalParts } = settings;
  if (sizeBytes === undefined) {
    const doublings = (number: number): number => Math.min(6, Math.floor((number - 1) / fewParts));
    const sizeOfPart = equalParts
      ? (): number => partSizeBytes
      : (number: number): number => partSizeBytes * 2 ** doublings(number);
    return { sizeOfPart, inFlight: partsInFlight(concurrency, partSizeBytes) };
  }
  const forFew = Math.min(comfortableBytes, roundUp(sizeBytes / fewParts));
  const size = Math.max(partSizeBytes, forFew, roundUp(sizeBytes / MAX_PARTS));
  return { sizeOfPart: () => size, inFlight: partsInFlight(concurrency, size) };
}

function partsInFlight(concurrency: number, sizeBytes: number): number {
  return Math.max(1, Math.min(concurrency, Math.floor(budgetBytes / sizeBytes)));
}

function roundUp(sizeBytes: number): number {
  return Math.ceil(sizeBytes / MIB) * MIB;
}
