/** Usage texts of commands, in upstream's shape. */
import { formatFlags, type FlagTable } from "./flags.ts";

export interface CommandUsage {
  /** What the command does, in lines of at most 80 columns. */
  readonly about: string;
  /** The ways to call it. */
  readonly forms: readonly string[];
  readonly flags: FlagTable;
  /** Text after the flags. */
  readonly more?: string;
}

/** `-json` of commands that print a table otherwise. */
export const JSON_FLAG = {
  kind: "boolean",
  help: ["Output raw JSON instead of human-readable text."],
} as const;

/** The text for `litestream COMMAND -h`. */
export function commandUsage({ about, forms, flags, more }: CommandUsage): string {
  const parts = [
    about,
    "Usage:",
    ...forms.map((form) => `\t${form}`),
    "Arguments:",
    formatFlags(flags),
    ...(more === undefined ? [] : [more]),
  ];
  return `${parts.join("\n\n")}\n\n`;
}
