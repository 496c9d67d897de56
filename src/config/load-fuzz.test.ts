import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ConfigError } from "./config-error.ts";
import { parseConfig } from "./load.ts";

const SAMPLE = `access-key-id: $KEY
snapshot: &s {interval: 1h, retention: 24h}
levels: [{interval: 30s}]
socket: {enabled: yes, permissions: 0600}
dbs:
  - path: /data/a.db
    snapshot: *s
    replicas:
      - url: s3://b.us-east-1.linodeobjects.com/a?region=x
        part-size: 5MiB
      - {type: file, path: "/r", <<: {sync-interval: 1s}}
  - dir: /d
    pattern: "*.db"
    replica: {type: sftp, host: h, user: u, path: p}
`;

const scraps = [
  "",
  " ",
  "\n",
  "\t",
  ":",
  "- ",
  "{",
  "]",
  "*s",
  "&s ",
  "<<: *s",
  "~",
  "$",
  "${",
  "!!str ",
  "|",
  "'",
  '"',
  "\u0000",
  "0",
  "-1",
];

const edit = fc.record({
  at: fc.nat(SAMPLE.length),
  drop: fc.nat(12),
  insert: fc.oneof(fc.constantFrom(...scraps), fc.string({ maxLength: 6 })),
});

test("parseConfig() answers any text with a Config or a ConfigError that names lines", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let text = SAMPLE;
      for (const { at, drop, insert } of edits) {
        text = text.slice(0, at) + insert + text.slice(at + drop);
      }
      try {
        const config = parseConfig(text, "f.yml", { env: {}, cwd: "/w" });
        assert.equal(config.file, "f.yml");
      } catch (error) {
        assert.ok(error instanceof ConfigError, `${String(error)}\n${text}`);
        const last = text.split("\n").length + 1;
        for (const { line } of error.problems) assert.ok(line === undefined || line <= last);
      }
    }),
    { numRuns: 500 },
  );
});
