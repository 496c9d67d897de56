/** Addresses to listen on, as Go writes them: `host:port`, `:port`, `[::1]:port`. */

export interface BindAddress {
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  readonly port: number;
}

/** The names of ports that people write. */
const PORT_NAMES: Readonly<Record<string, number>> = { http: 80, https: 443 };
const MAX_PORT = 65_535;

/** Throws RangeError when there is no port or no such port. */
export function parseBindAddress(text: string): BindAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\w+)$/.exec(text);
  const name = match?.[3];
  if (name === undefined)
    throw new RangeError(`must specify port for bind address: ${JSON.stringify(text)}`);
  const port = PORT_NAMES[name] ?? (/^\d+$/.test(name) ? Number(name) : Number.NaN);
  if (!(port <= MAX_PORT))
    throw new RangeError(
      `unknown port ${JSON.stringify(name)} in bind address ${JSON.stringify(text)}`,
    );
  const host = match?.[1] ?? match?.[2] ?? "";
  return { host: host === "" ? undefined : host, port };
}

/** `http://host:port` of where a server really listens. */
export function formatServerURL(address: {
  readonly address: string;
  readonly port: number;
}): string {
  const { address: host, port } = address;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
