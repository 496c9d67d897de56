/** JSON as the command line prints it: two spaces, `<`, `>` and `&` escaped as Go does, a newline at the end. */

export function formatJSON(value: unknown): string {
  const escapes: Readonly<Record<string, string>> = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
  };
  const text = JSON.stringify(value, null, 2);
  return `${text.replaceAll(/[<>&\u2028\u2029]/g, (char) => escapes[char] ?? char)}\n`;
}
