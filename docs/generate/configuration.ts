/** docs/configuration.md from the tables of settings. Pure. */
import type { KindValues, Setting } from "../../src/config/settings.ts";
import { DEFAULT_CONFIG_PATH } from "../../src/config/settings.ts";
import { SETTING_SECTIONS, type SettingSection } from "./setting-sections.ts";

const KIND_NAMES: Readonly<Record<keyof KindValues, string>> = {
  string: "text",
  boolean: "true or false",
  integer: "number",
  duration: "duration",
  size: "size",
  mode: "permissions",
  strings: "list of texts",
  pages: "pages, or `off`",
};

const HEAD = `# Configuration

This page is made from the table the program reads its configuration by (\`npm run docs\`); so is
[litestream.schema.json](litestream.schema.json), a JSON Schema for editors. Most of them take it from the first line of the file:

\`\`\`yaml
# yaml-language-server: $schema=/path/to/litestream.schema.json
\`\`\`

The file is the one \`-config\` names, else \`$LITESTREAM_CONFIG\`, else \`${DEFAULT_CONFIG_PATH}\`. \`litestream config check\` reports
every mistake in it at once, \`litestream config show\` every setting with its effective value and where that comes from.

\`\`\`yaml
access-key-id: ...
secret-access-key: ...
dbs:
  - path: /data/app.db
    replicas:
      - url: s3://BUCKET.us-east-1.linodeobjects.com/app
\`\`\`

## How values are written

| kind | examples |
|---|---|
| text | \`/data/app.db\`, \`"with: colon"\` |
| true or false | \`true\`, \`yes\`, \`on\`, \`false\`, \`no\`, \`off\`, without quotes |
| number | \`1000\`, \`1_000\`, \`0x10\`; \`010\` is octal |
| duration | \`500ms\`, \`10s\`, \`1h30m\`, \`7d\`, \`2w\`; a bare number other than 0 is an error |
| size | \`64MiB\` (1024), \`5MB\` (1000), or bytes |
| permissions | \`0600\`, \`600\` |
| list of texts | \`[a, b]\` |

Before the file is read as YAML, \`$NAME\` and \`\${NAME}\` are replaced by variables of the environment. \`\${NAME:-default}\` gives a
default, \`\${NAME:?message}\` makes a missing one an error, \`$$\` is a dollar sign. \`-no-expand-env\` turns this off.

Unknown and duplicate keys are warnings with the nearest known key; with \`-strict\` they are errors.
`;

/** The whole page. */
export function configurationPage(): string {
  return [HEAD, ...SETTING_SECTIONS.map(formatSection)].join("\n");
}

function formatSection({ title, prefix, about, table }: SettingSection): string {
  const rows = Object.entries(table).map(
    ([key, setting]) =>
      `| \`${key}\` | ${KIND_NAMES[setting.kind]} | ${defaultOf(setting)} | ${meaningOf(setting)} |`,
  );
  const where = prefix === "" ? "" : `Keys begin \`${prefix}\` in messages. `;
  return `## ${title}

${where}${about}

| key | kind | default | meaning |
|---|---|---|---|
${rows.join("\n")}
`;
}

function defaultOf(setting: Setting): string {
  return setting.default === undefined ? "" : `\`${setting.default}\``;
}

function meaningOf({ meaning, rule, types, secret }: Setting): string {
  const notes = [
    ...(types === undefined ? [] : [`for ${types.join(", ")}`]),
    ...(rule === undefined ? [] : [rule === "positive" ? "greater than 0" : "not negative"]),
    ...(secret === true ? ["secret"] : []),
  ];
  const text = meaning.replaceAll("|", "\\|");
  return notes.length === 0 ? text : `${text} (${notes.join("; ")})`;
}
