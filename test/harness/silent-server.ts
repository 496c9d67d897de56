/** A store that cannot be reached: it takes connections and never says a word, or refuses them. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Place } from "./replication.ts";

/** A server on loopback that reads and never answers. */
export async function startSilentServer(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
    socket.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** An S3 replica behind that port. */
export function unreachablePlace(port: number): Place {
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    url: `s3://bucket/db?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`,
    yaml: { type: "s3", bucket: "bucket", path: "db", region: "us-east-1", endpoint },
    env: { LITESTREAM_ACCESS_KEY_ID: "key", LITESTREAM_SECRET_ACCESS_KEY: "secret" },
  };
}

/** Port 9 (discard) is closed everywhere. */
export const refusedPort = 9;
