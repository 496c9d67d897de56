/**
 * Prints where the time went in the CPU profiles of a run with `--profile FOLDER`: `node bench/profile.ts FOLDER [COUNT]`.
 * One list for each profile (a process or a worker thread), largest first, without idle time.
 */
import fs from "node:fs";
import path from "node:path";

/** The parts of V8's .cpuprofile format that are used here; times in microseconds. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const [folder, countText = "15"] = process.argv.slice(2);
if (!folder) throw new TypeError("Usage: profile.ts FOLDER [COUNT]");
const profiles = fs
  .readdirSync(folder)
  .filter((name) => name.endsWith(".cpuprofile"))
  .map((name) => ({ name, times: selfTimes(path.join(folder, name)) }))
  .toSorted((a, b) => total(b.times) - total(a.times));
for (const { name, times } of profiles) {
  console.log(`${name}: ${milliseconds(total(times))} ms busy`);
  const top = [...times].toSorted(([, a], [, b]) => b - a).slice(0, Number(countText));
  for (const [place, time] of top) console.log(`${milliseconds(time).padStart(10)} ms  ${place}`);
}

/** Microseconds spent in each function itself, by name and place. */
function selfTimes(file: string): Map<string, number> {
  const profile: Profile = JSON.parse(fs.readFileSync(file, "utf8"));
  const places = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const name = functionName || "(anonymous)";
      return [
        id,
        url ? `${name} ${url.replace(/^.*\/(?=dist|node_modules)/, "")}:${lineNumber + 1}` : name,
      ];
    }),
  );
  const times = new Map<string, number>();
  for (const [index, id] of profile.samples.entries()) {
    const place = places.get(id) ?? "(unknown)";
    if (place === "(idle)") continue;
    times.set(place, (times.get(place) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
  return times;
}

function total(times: ReadonlyMap<string, number>): number {
  return [...times.values()].reduce((sum, time) => sum + time, 0);
}

function milliseconds(microseconds: number): string {
  return (microseconds / 1000).toFixed(1);
}
