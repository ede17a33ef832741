/** Who is calling: a process on the admin socket, or a TLS peer with or without an X509-SVID. */
import type { Certificate } from "../pki/certificate.ts";
import type { SpiffeId } from "../spiffe/id.ts";

/** The identity that a TLS peer proved: its chain was validated against the bundle of its trust domain. */
export interface CallerSvid {
  readonly spiffeId: SpiffeId;
  /** Decimal. */
  readonly serial: string;
  /** Milliseconds since the Unix epoch; the last valid one. */
  readonly notAfter: number;
}

/** A process that the file permissions of the admin socket let in. */
export interface LocalCaller {
  readonly kind: "local";
  /** What the kernel says of the process, for the audit log. */
  readonly process?: { readonly pid: number; readonly uid: number; readonly gid: number; readonly path?: string };
}

/** A peer of the TLS listener. Without `svid` nobody is known. */
export interface TlsCaller {
  readonly kind: "tls";
  /** IP address, without port. */
  readonly address: string;
  readonly port: number;
  readonly svid?: CallerSvid;
}

/** Whoever is at the other end of a connection. */
export type Caller = LocalCaller | TlsCaller;

/** What authorization needs of a validated leaf. The serial is the one by which the node's row is compared. */
export function callerSvid(spiffeId: SpiffeId, leaf: Certificate): CallerSvid {
  return { spiffeId, serial: leaf.serial, notAfter: leaf.notAfter };
}
