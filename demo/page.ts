/** How the demo looks on the terminal; plain text elsewhere. */
import { styleText } from "node:util";

const onTerminal = process.stdout.isTTY;
let sceneNumber = 0;
let openLine = false;

export function bold(text: string): string {
  return styleText("bold", text);
}

export function title(text: string): void {
  console.log(`\n${bold(text)}\n`);
}

/** The next step of the story. */
export function scene(text: string): void {
  endLine();
  console.log(`${styleText("cyan", String(++sceneNumber).padStart(2))}  ${bold(text)}`);
}

export function detail(text: string): void {
  endLine();
  console.log(`    ${text}`);
}

export function pass(text: string): void {
  endLine();
  console.log(`    ${styleText("green", "✓")} ${text}`);
}

export function fail(text: string): void {
  endLine();
  console.log(`    ${styleText("red", "✗")} ${text}`);
}

/** A line that changes in place; only on a terminal. */
export function live(text: string): void {
  if (!onTerminal) return;
  process.stdout.write(`\r\u001b[2K    ${text}`);
  openLine = true;
}

function endLine(): void {
  if (openLine) process.stdout.write("\r\u001b[2K");
  openLine = false;
}
