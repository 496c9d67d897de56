/** Times as Go's RFC3339Nano with the local offset: no zeros at the end of the fraction. */
export function formatRFC3339Nano(epochMs: number): string {
  const date = new Date(epochMs);
  const offset = -date.getTimezoneOffset();
  const local = new Date(epochMs + offset * 60_000).toISOString();
  const head = local.slice(0, 19);
  const fraction = local.slice(19, 23).replace(/\.?0+$/, "");
  if (offset === 0) return `${head}${fraction}Z`;
  const minutes = Math.abs(offset);
  const sign = offset < 0 ? "-" : "+";
  return `${head}${fraction}${sign}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
