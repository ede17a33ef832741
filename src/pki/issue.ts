/** Issues X509-SVIDs and CA certificates after fixed profiles. */
import { AgentError } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";
import type { Name } from "./name.ts";
import type { CertificateSigner } from "./signer.ts";

/** A CA that signs leaves. */
export interface IssuingCa {
  readonly certificate: Der;
  /** Appended to the chains of issued leaves, the CA's own certificate first; empty for a self-signed CA. */
  readonly chain: readonly Der[];
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
  readonly signer: CertificateSigner;
}

/** The subject of a CA. Without `serialNumber` the certificate's serial is put there, in decimal. */
export interface CaSubject extends Name {
  readonly country: readonly string[];
  readonly organization: readonly string[];
  readonly commonName: string;
}

/** Validity and serial of a certificate to be issued. */
export interface IssueTerms {
  /** Milliseconds since the Unix epoch; written in whole seconds, rounded down. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch; written in whole seconds, rounded down. Cut to the CA's own end. */
  readonly notAfter: number;
  /** Big-endian, positive, at most 20 bytes when encoded; see `randomSerial`. */
  readonly serial: Uint8Array;
}

/** Issues a leaf. */
export function issueX509Svid(
  _ca: IssuingCa,
  _leaf: IssueTerms & {
    readonly spiffeId: SpiffeId;
    readonly spki: Uint8Array;
    readonly dnsNames?: readonly string[];
    /** C=US, O=SPIRE unless given; the first DNS name becomes its common name. */
    readonly subject?: Name;
  },
): Promise<Der> {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Makes a self-signed CA certificate. */
export function selfSignCa(
  _o: IssueTerms & {
    readonly signer: CertificateSigner;
    readonly trustDomain: TrustDomain;
    readonly subject: CaSubject;
  },
): Promise<Der> {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Issues a CA certificate below `ca`, for a downstream server's key. */
export function issueCa(
  _ca: IssuingCa,
  _o: IssueTerms & { readonly spki: Uint8Array; readonly trustDomain: TrustDomain; readonly subject: CaSubject },
): Promise<Der> {
  throw new AgentError("INTERNAL", "not built yet");
}

/** A random serial number, 1 to 2^128 - 1. */
export function randomSerial(_random: Random): Uint8Array {
  throw new AgentError("INTERNAL", "not built yet");
}
