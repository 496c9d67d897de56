/** The sections of the configuration file in the order of the documentation: what they are, and their tables. */
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
  type SettingTable,
} from "../../src/config/settings.ts";

export interface SettingSection {
  readonly title: string;
  /** Where its keys stand, as `socket.`; empty at the top. */
  readonly prefix: string;
  readonly about: string;
  readonly table: SettingTable;
}

export const SETTING_SECTIONS: readonly SettingSection[] = [
  {
    title: "Top of the file",
    prefix: "",
    about:
      'Besides these, every setting of a replica below "Settings of replicas" may stand at the top: it is then the default of all replicas.',
    table: TOP_SETTINGS,
  },
  {
    title: "`logging`",
    prefix: "logging.",
    about: "`LOG_LEVEL` of the environment wins over `level`, `-log-level` over both.",
    table: LOGGING_SETTINGS,
  },
  {
    title: "`socket`",
    prefix: "socket.",
    about: "The control socket of the daemon.",
    table: SOCKET_SETTINGS,
  },
  {
    title: "`snapshot`",
    prefix: "snapshot.",
    about: "At the top for all databases, or in an entry of `dbs` for that one.",
    table: SNAPSHOT_SETTINGS,
  },
  {
    title: "`levels`",
    prefix: "levels[].",
    about:
      "A list: the first entry is level 1, and there are at most eight. Without the key: 30s, 5m and 1h.",
    table: LEVEL_SETTINGS,
  },
  {
    title: "`retention`",
    prefix: "retention.",
    about: "Whether anything is ever deleted from a replica.",
    table: RETENTION_SETTINGS,
  },
  {
    title: "`validation`",
    prefix: "validation.",
    about: "Regular checks of what the replicas hold.",
    table: VALIDATION_SETTINGS,
  },
  {
    title: "Entries of `dbs`",
    prefix: "dbs[].",
    about:
      "Each has a `path`, or a `dir` with a `pattern`; and a `replica`, or a list of them under `replicas`.",
    table: DATABASE_SETTINGS,
  },
  {
    title: "What names a replica",
    prefix: "dbs[].replicas[].",
    about:
      "Under `replica` or in the list `replicas`. A `url` says the type and the place at once.",
    table: REPLICA_IDENTITY_SETTINGS,
  },
  {
    title: "Settings of replicas",
    prefix: "dbs[].replicas[].",
    about: "In a replica, or at the top of the file as the default of all replicas.",
    table: REPLICA_SETTINGS,
  },
  {
    title: "`age`",
    prefix: "dbs[].replicas[].age.",
    about: "In a replica, or at the top of the file.",
    table: AGE_SETTINGS,
  },
];
