/** Nodes with a TPM of software, whose proofs cost a client little: the only place where the bench takes it from the tests. */

import { TPM } from "../../src/attestors/tpm/wire.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { pemEncode } from "../../src/pki/pem.ts";
import { SoftAgent } from "../../test/fakes/soft-tpm/agent.ts";
import { type AkKind, type EkKind, softAk, softEk } from "../../test/fakes/soft-tpm/tpm.ts";
import { makeVendor, type Vendor } from "../../test/fakes/soft-tpm/vendor.ts";
import type { Candidate } from "./attest-call.ts";

export type { AkKind, EkKind };

/** Who certifies the endorsement keys. */
export class SoftVendor {
  readonly #vendor: Vendor = makeVendor();

  /** Its certificates, the issuer's and the root's. DER. */
  get certificates(): readonly Uint8Array[] {
    return [this.#vendor.issuer.der, this.#vendor.root.der];
  }

  /** The same as PEM. */
  get pems(): readonly string[] {
    return this.certificates.map((der) => pemEncode("CERTIFICATE", der));
  }

  /** A node with keys of its own. Its payload and CSR are made now; credentials are opened and quotes signed when they come. */
  async node(name: string, ek: EkKind, ak: AkKind): Promise<SoftNode> {
    const keys = { ek: softEk(ek, name), ak: softAk(ak) };
    const quoting = new SoftAgent(this.#vendor, keys);
    const plain = new SoftAgent(this.#vendor, { ...keys, banks: null });
    return { quoting: await candidate(quoting), plain: await candidate(plain), csrKey: quoting.csr.spki };
  }
}

/** A node as it presents itself. */
export interface SoftNode {
  /** As Holdfast's agent: the second exchange is announced. */
  readonly quoting: Candidate;
  /** As the plugin's agent. */
  readonly plain: Candidate;
  /** SubjectPublicKeyInfo of the CSR's key, which quotes are bound to. */
  readonly csrKey: Uint8Array;
}

async function candidate(agent: SoftAgent): Promise<Candidate> {
  const csr = await createCsr({ privateKey: agent.csr.privateKey });
  return { type: TPM, payload: agent.payload, csr, respond: (challenge) => agent.respond(challenge) };
}
