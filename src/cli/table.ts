/** Text tables: lower-case headings, columns two blanks apart, nothing behind the last one. */

/** A line per row, the headings first, also when there are no rows. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...all.map((row) => width(row[column] ?? ""))),
  );
  const lines = all.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - width(cell)),
      )
      .join("  "),
  );
  return lines.map((line) => `${line}\n`).join("");
}

function width(text: string): number {
  return Array.from(text).length;
}
