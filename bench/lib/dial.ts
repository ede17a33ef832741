/** Connects to a server's administration socket or its TCP port, as agents do: TLS, HTTP/2. */
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { Connection } from "./connection.ts";

/** Where a server listens, and as whom to come. PEM texts. */
export type Address =
  | { readonly socket: string }
  | { readonly port: number; readonly ca: string; readonly key?: string; readonly cert?: string };

/** Opens a connection. */
export function dial(to: Address): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket =
      "socket" in to
        ? connect(to.socket)
        : connectTls({
            host: "127.0.0.1",
            port: to.port,
            ca: to.ca,
            ALPNProtocols: ["h2"],
            minVersion: "TLSv1.3",
            // The chain is verified; a server's SPIFFE ID is no host name.
            checkServerIdentity: () => undefined,
            ...(to.key === undefined || to.cert === undefined ? {} : { key: to.key, cert: to.cert }),
          });
    socket.setNoDelay(true);
    socket.once("error", reject);
    socket.once("socket" in to ? "connect" : "secureConnect", () => {
      const connection = new Connection(socket);
      connection.open();
      resolve(connection);
    });
  });
}
