/** docs/compatibility.md from the list the compatibility suite checks. Pure. */
import {
  DELIBERATE_DIFFERENCES,
  type DeliberateDifference,
} from "../../test/interop/deliberate-differences.ts";
import { COMPATIBILITY_CASES } from "../../test/interop/compatibility-cases.ts";
import { PEER_VERSION } from "../../test/harness/program.ts";

/** The whole page. */
export function compatibilityPage(): string {
  const missing = DELIBERATE_DIFFERENCES.filter((difference) => difference.missing === true);
  const wanted = DELIBERATE_DIFFERENCES.filter((difference) => difference.missing !== true);
  const differing = new Set(DELIBERATE_DIFFERENCES.flatMap(({ cases }) => cases));
  const same = COMPATIBILITY_CASES.length - differing.size;
  return `# Compatibility with Litestream

\`npm run test:interop\` puts ${COMPATIBILITY_CASES.length} command lines and configuration files through Litestream ${PEER_VERSION} and through
this program, and compares exit codes, output, errors, JSON and the files left behind; times, versions and folders are left out of it.
${same} are answered alike. The others are these. The list is checked by the same suite: a difference that is not here fails it,
and so does one that is here and no longer exists. (This page is made from it by \`npm run docs\`.)

JSON may have more fields than Litestream's, and a help text more flags; behind the message of an error there may be a hint.
Log records go to stderr in commands that have an output of their own.

## Different on purpose

${wanted.map(formatDifference).join("\n")}
${missing.length === 0 ? "" : `## Not there yet\n\n${missing.map(formatDifference).join("\n")}`}`;
}

function formatDifference({ title, reason, fields, cases }: DeliberateDifference): string {
  const names: Readonly<Record<string, string>> = { code: "exit code", files: "files" };
  const where = fields.map((field) => names[field] ?? field).join(", ");
  return `### ${title}

${reason}

Seen in: ${where}. Cases: ${cases.join(" · ")}.
`;
}
