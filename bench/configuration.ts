import fs from "node:fs";

/** One database of a configuration file; intervals as Litestream writes durations, such as `10ms`. */
export interface ReplicatedDatabase {
  readonly path: string;
  readonly url: string;
  readonly monitorInterval?: string;
  readonly syncInterval?: string;
}

/** Writes a configuration file that both programs read (JSON is YAML too); `general`: what stands beside `dbs` in it. */
export function writeConfiguration(
  file: string,
  databases: readonly ReplicatedDatabase[],
  general: Readonly<Record<string, unknown>> = {},
): void {
  const dbs = databases.map(({ path, url, monitorInterval, syncInterval }) => ({
    path,
    ...(monitorInterval === undefined ? {} : { "monitor-interval": monitorInterval }),
    replica: { url, ...(syncInterval === undefined ? {} : { "sync-interval": syncInterval }) },
  }));
  fs.writeFileSync(file, JSON.stringify({ ...general, dbs }, null, 2));
}
