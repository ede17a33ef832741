/** TLS towards the server: TLS 1.3, post-quantum key exchange preferred, and exactly one identity is accepted. */
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.ts";
import { AgentError } from "../lib/errors.ts";
import { pkcs8Of } from "../pki/keys.ts";
import { pemEncode } from "../pki/pem.ts";
import { serverId, type TrustDomain } from "../spiffe/id.ts";
import type { Der, X509Svid } from "../spiffe/svid.ts";
import { describeTlsFailure } from "./server-tls-errors.ts";
import { checkPresentedChain, checkUnverifiedLeaf } from "./server-tls-identity.ts";

/** What a connection trusts and shows. Asked anew for each connection, so that a new bundle needs no new client. */
export interface ServerTlsSource {
  readonly trustDomain: TrustDomain;
  /** CA certificates of the trust domain; `insecure` verifies no chain, for the very first connection only. */
  authorities(): readonly Der[] | "insecure";
  /** The agent's own SVID; undefined for the connection on which it attests. */
  readonly identity: X509Svid | undefined;
}

/** Dependencies and options of `ServerTlsCredentials`. */
export interface ServerTlsOptions {
  readonly clock: Clock;
  readonly source: ServerTlsSource;
  /** Refuse servers without a post-quantum key exchange. */
  readonly requirePqKem: boolean;
}

/** Hybrid groups; the first is what stock peers of 2024 and later speak. */
const PQ_GROUPS = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024";
const PREFERRED_GROUPS = "X25519MLKEM768:X25519:P-256:P-384";
/** A server that accepts the connection and then says nothing must not hold it for ever. */
const HANDSHAKE_LIMIT_MS = 15_000;

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Channel credentials whose handshake is ours: OpenSSL verifies the chain, our own validator verifies it again with
 * the SVID rules, and the identity must be `spiffe://<trust domain>/spire/server`. Host names play no part.
 */
export class ServerTlsCredentials extends ChannelCredentials {
  readonly #options: ServerTlsOptions;
  #failure: AgentError | undefined;

  constructor(options: ServerTlsOptions) {
    super();
    this.#options = options;
  }

  /** Why the latest handshake failed; undefined after one that succeeded. */
  get failure(): AgentError | undefined {
    return this.#failure;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    target: { readonly path: string },
    _options: object,
    callCredentials?: CallCredentials,
  ): SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.#handshake(socket, hostOf(target.path)), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy() {},
    };
  }

  async #handshake(socket: Socket, host: string): Promise<TLSSocket> {
    try {
      const tls = await this.#connect(socket, host);
      this.#failure = undefined;
      // After a TLS 1.3 handshake the server may still refuse our certificate: its alert arrives as an error.
      tls.on("error", (error) => {
        this.#failure = describeTlsFailure(error, this.#options.source.trustDomain);
      });
      return tls;
    } catch (error) {
      this.#failure = describeTlsFailure(error, this.#options.source.trustDomain);
      throw this.#failure;
    }
  }

  #connect(socket: Socket, host: string): Promise<TLSSocket> {
    const { clock, source, requirePqKem } = this.#options;
    const authorities = source.authorities();
    const options: ConnectionOptions = {
      socket,
      secureContext: secureContext(authorities, source.identity, requirePqKem),
      // A name is sent for the sake of proxies; it is not checked, and an address may not be sent.
      servername: isIP(host) === 0 ? host : "",
      ALPNProtocols: ["h2"],
      rejectUnauthorized: authorities !== "insecure",
      checkServerIdentity: () => undefined,
    };
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        cancelLimit();
        tls.destroy();
        reject(error);
      };
      const tls = connect(options, () => {
        try {
          if (tls.alpnProtocol !== "h2") throw new AgentError("UNAVAILABLE", "the server does not speak HTTP/2");
          const peer = tls.getPeerCertificate(true);
          if (authorities === "insecure") checkUnverifiedLeaf(peer, serverId(source.trustDomain));
          else checkPresentedChain(peer, authorities, { now: clock.now(), expectedId: serverId(source.trustDomain) });
        } catch (error) {
          return fail(error);
        }
        cancelLimit();
        tls.off("error", fail);
        tls.off("close", closed);
        resolve(tls);
      });
      const closed = (): void => fail(new AgentError("UNAVAILABLE", "the server closed the connection"));
      const cancelLimit = clock.after(HANDSHAKE_LIMIT_MS, () =>
        fail(new AgentError("UNAVAILABLE", "the server did not answer the TLS handshake")),
      );
      tls.on("error", fail);
      tls.once("close", closed);
    });
  }
}

function secureContext(
  authorities: readonly Der[] | "insecure",
  identity: X509Svid | undefined,
  requirePqKem: boolean,
): SecureContext {
  return createSecureContext({
    minVersion: "TLSv1.3",
    ecdhCurve: requirePqKem ? PQ_GROUPS : PREFERRED_GROUPS,
    // Without this, Node would trust the public web's CAs.
    ca: authorities === "insecure" ? [] : authorities.map(certificatePem),
    // A bundle may hold an authority that is not self-signed; SPIFFE trusts it all the same.
    allowPartialTrustChain: true,
    ...(identity === undefined
      ? {}
      : {
          cert: identity.chain.map(certificatePem).join(""),
          key: pemEncode("PRIVATE KEY", pkcs8Of(identity.privateKey)),
        }),
  });
}

function certificatePem(der: Uint8Array): string {
  return pemEncode("CERTIFICATE", der);
}

/** The host of a target such as `name:8081` or `[::1]:8081`. */
function hostOf(target: string): string {
  return target.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}
