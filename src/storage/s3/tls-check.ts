/** Finding out that a server addressed by http wants https: most just hang up on a plain request. */
import { isIP } from "node:net";
import { connect } from "node:tls";
import { hostOf } from "./settings.ts";

const handshakeTimeoutMs = 3_000;

/** Whether a TLS handshake with the server of an http endpoint succeeds, whatever its certificate. */
export async function speaksTLS(endpoint: string): Promise<boolean> {
  const [, bracketed, name = "", port = "80"] =
    /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(hostOf(endpoint)) ?? [];
  const host = bracketed ?? name;
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port),
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const end = (verdict: boolean): void => {
      socket.destroy();
      resolve(verdict);
    };
    socket.setTimeout(handshakeTimeoutMs, () => end(false));
    socket.once("secureConnect", () => end(true));
    socket.once("error", () => end(false));
  });
}
