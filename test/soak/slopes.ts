/** Whether what an engine uses grows with time. Pure. */

/** What one look saw. */
export interface Sample {
  /** Which process of the engine: memory and requests begin anew with each. */
  readonly life: number;
  readonly atMs: number;
  readonly memoryBytes: number;
  readonly descriptors: number;
  readonly localFiles: number;
  readonly requests: number;
  readonly commits: number;
}

export interface Verdict {
  readonly lines: readonly string[];
  readonly problems: readonly string[];
}

const MIB = 1 << 20;
const MINUTE_MS = 60_000;
/** A life is judged from this age on, when caches are full and code is compiled. */
const WARM_UP_MS = 20_000;
const MAX_DESCRIPTORS = 60;
const MAX_LOCAL_FILES = 1_500;
/** Growth of memory per minute that no cache explains, in runs of some minutes. */
const MAX_MEMORY_SLOPE: number = 8 * MIB;
const MIN_SLOPE_MS = 60_000;
const MAX_MEMORY: number = 300 * MIB;
/** One upload per commit at most, and as much again for levels. */
const MAX_REQUESTS_PER_COMMIT = 4;

export function judge(samples: readonly Sample[]): Verdict {
  const longest = longestLife(samples);
  const [first] = longest;
  const last = longest.at(-1);
  if (first === undefined || last === undefined) return { lines: [], problems: ["no samples"] };
  const warm = longest.filter(({ atMs }) => atMs - first.atMs >= WARM_UP_MS);
  const span = (warm.at(-1)?.atMs ?? 0) - (warm[0]?.atMs ?? 0);
  const memorySlope = slope(warm, ({ memoryBytes }) => memoryBytes);
  const descriptors = Math.max(...samples.map((sample) => sample.descriptors));
  const localFiles = Math.max(...samples.map((sample) => sample.localFiles));
  const memory = Math.max(...samples.map(({ memoryBytes }) => memoryBytes));
  const commits = Math.max(1, last.commits - first.commits);
  const requestsPerCommit = (last.requests - first.requests) / commits;
  const problems: string[] = [];
  const limit = (what: string, value: number, most: number): void => {
    if (value > most) problems.push(`${what}: ${value.toFixed(1)}, at most ${most}`);
  };
  limit("memory in MiB", memory / MIB, MAX_MEMORY / MIB);
  if (span >= MIN_SLOPE_MS)
    limit("growth of memory in MiB per minute", memorySlope / MIB, MAX_MEMORY_SLOPE / MIB);
  limit("descriptors", descriptors, MAX_DESCRIPTORS);
  limit("local files", localFiles, MAX_LOCAL_FILES);
  if (commits > 100) limit("requests per commit", requestsPerCommit, MAX_REQUESTS_PER_COMMIT);
  return {
    lines: [
      `memory: ${(memory / MIB).toFixed(0)} MiB at most, ${(memorySlope / MIB).toFixed(2)} MiB per minute over ${(span / MINUTE_MS).toFixed(1)} minutes`,
      `descriptors: ${descriptors} at most, ${slope(warm, (sample) => sample.descriptors).toFixed(2)} per minute`,
      `local files: ${localFiles} at most, ${slope(warm, (sample) => sample.localFiles).toFixed(1)} per minute`,
      `requests: ${requestsPerCommit.toFixed(2)} per commit`,
    ],
    problems,
  };
}

function longestLife(samples: readonly Sample[]): readonly Sample[] {
  const lives = Map.groupBy(samples, ({ life }) => life);
  return [...lives.values()].reduce((best, life) => (life.length > best.length ? life : best), []);
}

/** Least squares, per minute. */
function slope(samples: readonly Sample[], value: (sample: Sample) => number): number {
  if (samples.length < 2) return 0;
  const x = samples.map(({ atMs }) => atMs / MINUTE_MS);
  const y = samples.map(value);
  const [meanX, meanY] = [mean(x), mean(y)];
  const above = x.reduce((sum, at, index) => sum + (at - meanX) * ((y[index] ?? 0) - meanY), 0);
  const below = x.reduce((sum, at) => sum + (at - meanX) ** 2, 0);
  return below === 0 ? 0 : above / below;
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
