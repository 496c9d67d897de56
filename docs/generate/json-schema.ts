/** docs/litestream.schema.json from the tables of settings: what editors complete, explain and underline. Pure. */
import {
  AGE_SETTINGS,
  DATABASE_SETTINGS,
  LEVEL_SETTINGS,
  LOGGING_SETTINGS,
  REPLICA_IDENTITY_SETTINGS,
  REPLICA_SETTINGS,
  RETENTION_SETTINGS,
  SNAPSHOT_SETTINGS,
  SOCKET_SETTINGS,
  TOP_SETTINGS,
  VALIDATION_SETTINGS,
  type Setting,
  type SettingTable,
} from "../../src/config/settings.ts";
import { REPLICA_TYPES } from "../../src/storage/replica-options.ts";

type Schema = Readonly<Record<string, unknown>>;

const DURATION = "^[-+]?(0|((\\d+\\.?\\d*|\\.\\d+)(ns|us|µs|μs|ms|s|m|h|d|w))+)$";
/** A value that a variable gives is not known before. */
const VARIABLE = "\\$";

/** The schema as it stands in the file. */
export function configurationSchema(): string {
  const schema: Schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Litestream configuration",
    ...section({ ...TOP_SETTINGS, ...REPLICA_SETTINGS }, "The configuration file", {
      logging: section(LOGGING_SETTINGS, "How and where is logged"),
      socket: section(SOCKET_SETTINGS, "The control socket"),
      snapshot: section(SNAPSHOT_SETTINGS, "Snapshots of all databases"),
      retention: section(RETENTION_SETTINGS, "Whether anything is deleted from a replica"),
      validation: section(VALIDATION_SETTINGS, "Regular checks of the replicas"),
      levels: {
        type: ["array", "null"],
        description: "Compaction levels from 1 on",
        maxItems: 8,
        items: section(LEVEL_SETTINGS, "A compaction level"),
      },
      age: { $ref: "#/definitions/age" },
      dbs: {
        type: ["array", "null"],
        description: "The databases",
        items: { $ref: "#/definitions/database" },
      },
    }),
    definitions: {
      age: section(AGE_SETTINGS, "Keys of age encryption"),
      replica: section(replicaTable(), "Where a copy is kept", {
        age: { $ref: "#/definitions/age" },
        type: {
          description: REPLICA_IDENTITY_SETTINGS.type.meaning,
          enum: [...REPLICA_TYPES, "gcs"],
        },
      }),
      database: {
        ...section(DATABASE_SETTINGS, "A database, or a folder of them", {
          snapshot: section(SNAPSHOT_SETTINGS, "Snapshots of this database"),
          replica: { $ref: "#/definitions/replica" },
          replicas: {
            type: ["array", "null"],
            description: "Where copies are kept",
            items: { $ref: "#/definitions/replica" },
          },
        }),
        oneOf: [{ required: ["path"] }, { required: ["dir", "pattern"] }],
        anyOf: [{ required: ["replica"] }, { required: ["replicas"] }],
      },
    },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function replicaTable(): SettingTable {
  return { ...REPLICA_IDENTITY_SETTINGS, ...REPLICA_SETTINGS };
}

function section(
  table: SettingTable,
  description: string,
  children: Readonly<Record<string, Schema>> = {},
): Schema {
  const properties = Object.fromEntries(
    Object.entries(table).map(([key, setting]) => [key, settingSchema(setting)]),
  );
  return {
    type: ["object", "null"],
    description,
    properties: { ...properties, ...children },
    additionalProperties: false,
  };
}

function settingSchema(setting: Setting): Schema {
  const notes = setting.types === undefined ? "" : ` (for ${setting.types.join(", ")})`;
  return {
    description: `${setting.meaning}${notes}`,
    ...valueSchema(setting),
    ...(setting.default === undefined ? {} : { default: defaultValue(setting) }),
  };
}

function valueSchema({ kind }: Setting): Schema {
  switch (kind) {
    case "string":
      return { type: ["string", "number", "boolean", "null"] };
    case "boolean":
      return orVariable(["boolean", "null"]);
    case "integer":
      return orVariable(["number", "null"]);
    case "duration":
      return { anyOf: [pattern(DURATION), { const: 0 }, { type: "null" }] };
    case "size":
      return {
        anyOf: [
          { type: ["integer", "null"], minimum: 0 },
          pattern("^[\\d.,]+ *([kKmMgGtTpPeE]?[iI]?[bB]?)$"),
        ],
      };
    case "mode":
      return { type: ["integer", "string", "null"] };
    case "strings":
      return { type: ["array", "null"], items: { type: "string" } };
    case "pages":
      return { anyOf: [{ type: ["number", "null"] }, { const: "off" }, pattern(VARIABLE)] };
  }
}

function pattern(text: string): Schema {
  return { type: "string", anyOf: [{ pattern: text }, { pattern: VARIABLE }] };
}

function orVariable(types: readonly string[]): Schema {
  return { anyOf: [{ type: types }, { type: "string", pattern: VARIABLE }] };
}

function defaultValue(setting: Setting): unknown {
  const text = setting.default ?? "";
  if (setting.kind === "boolean") return text === "true";
  return setting.kind === "integer" || setting.kind === "pages" ? Number(text) : text;
}
