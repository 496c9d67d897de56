/** What a process says about itself under the names that Prometheus clients agree on. */
import { readdirSync, readFileSync } from "node:fs";
import type { MetricName } from "./metric-table.ts";

const KIBIBYTE = 1_024;

/** The `process_*` and `nodejs_*` values as they are now; what the system does not tell is left out. */
export function readProcessFacts(): ReadonlyMap<MetricName, number> {
  const { user, system } = process.cpuUsage();
  const memory = process.memoryUsage();
  const facts = new Map<MetricName, number>([
    ["process_cpu_seconds_total", (user + system) / 1e6],
    ["process_resident_memory_bytes", memory.rss],
    ["process_start_time_seconds", performance.timeOrigin / 1_000],
    ["nodejs_heap_size_used_bytes", memory.heapUsed],
    ["nodejs_external_memory_bytes", memory.external],
  ]);
  if (process.platform === "linux") readLinuxFacts(facts);
  return facts;
}

function readLinuxFacts(facts: Map<MetricName, number>): void {
  try {
    const status = readFileSync("/proc/self/status", "utf8");
    const limits = readFileSync("/proc/self/limits", "utf8");
    const size = /^VmSize:\s+(\d+) kB/m.exec(status)?.[1];
    const files = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    const space = /^Max address space\s+(\w+)/m.exec(limits)?.[1];
    if (size !== undefined) facts.set("process_virtual_memory_bytes", Number(size) * KIBIBYTE);
    if (files !== undefined) facts.set("process_max_fds", Number(files));
    if (space !== undefined)
      facts.set("process_virtual_memory_max_bytes", space === "unlimited" ? -1 : Number(space));
    facts.set("process_open_fds", readdirSync("/proc/self/fd").length);
  } catch (error) {
    // A sandbox may hide /proc: the other values are still true.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EACCES" && code !== "EPERM") throw error;
  }
}
