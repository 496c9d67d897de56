/** The table of a run, as Markdown and as JSON. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { isMet } from "./measure.ts";
import type { Pair, Row, Target, Unit } from "./measure.ts";

export interface Report {
  readonly command: string;
  readonly startedAt: Date;
  readonly machine: string;
  readonly programs: Readonly<Record<"peer" | "ours", string>>;
  readonly rows: readonly Row[];
}

export function newReport(
  command: string,
  programs: Pair,
  rows: readonly Row[],
  startedAt: Date,
): Report {
  return {
    command,
    startedAt,
    machine: machineLine(),
    programs: { peer: programs.peer.identity, ours: programs.ours.identity },
    rows,
  };
}

/** Markdown: what was measured, on what, and one line per figure. */
export function formatReport(report: Report): string {
  const { rows } = report;
  const missed = rows.filter((row) => !isMet(row)).length;
  const demands = rows.filter((row) => row.target).length;
  return [
    `Command: \`${report.command}\``,
    `Machine: ${report.machine}`,
    `Time: ${report.startedAt.toISOString()}`,
    `Peer: Litestream ${report.programs.peer}`,
    `Ours: litestream-ts ${report.programs.ours}`,
    "",
    formatTable(rows),
    "",
    `${demands - missed} of ${demands} targets met.`,
  ].join("\n");
}

function formatTable(rows: readonly Row[]): string {
  const head = ["work", "peer", "ours", "ratio", "target", "met?"];
  const cells = rows.map((row) => [
    row.work,
    formatFigure(row.peer, row.unit),
    formatFigure(row.ours, row.unit),
    row.peer > 0 ? (row.ours / row.peer).toFixed(2) : "–",
    formatTarget(row.target, row.unit),
    row.target ? (isMet(row) ? "yes" : "**no**") : "",
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(head), rule, ...cells.map(line)].join("\n");
}

/** Three significant digits, without an exponent. */
export function formatFigure(value: number, unit: Unit): string {
  const digits =
    value === 0 ? 0 : Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(Math.abs(value)))));
  const number = value.toFixed(digits);
  return unit === "×" ? number : `${number} ${unit}`;
}

function formatTarget(target: Target | undefined, unit: Unit): string {
  const parts: string[] = [];
  if (target?.ratioAtMost !== undefined) parts.push(`≤ ${target.ratioAtMost}×`);
  if (target?.atMost !== undefined) parts.push(`≤ ${formatFigure(target.atMost, unit)}`);
  if (target?.atLeast !== undefined) parts.push(`≥ ${formatFigure(target.atLeast, unit)}`);
  return parts.join(", ");
}

function machineLine(): string {
  const cpus = os.cpus();
  const memoryGB = (os.totalmem() / 2 ** 30).toFixed(0);
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? os.arch()}, ${memoryGB} GiB, ${systemName()}, Linux ${os.release()}, ${fileSystem(os.tmpdir())}`;
}

function systemName(): string {
  const release = fs.readFileSync("/etc/os-release", "utf8");
  return /^PRETTY_NAME="(.*)"$/m.exec(release)?.[1] ?? os.platform();
}

function fileSystem(folder: string): string {
  const text = execFileSync("stat", ["-f", "-c", "%T", folder], { encoding: "utf8" });
  return text.trim();
}
