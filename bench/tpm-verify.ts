/** The server's checks of a TPM's proof, each by itself, in a process of its own. */

import { quoteBinding } from "../src/attestors/tpm/structures/bindings.ts";
import { verifyAk } from "../src/attestors/tpm/verify/ak.ts";
import { readEndorsementKey } from "../src/attestors/tpm/verify/ek.ts";
import { verifyEkCertificate } from "../src/attestors/tpm/verify/ek-certificate.ts";
import { makeCredential } from "../src/attestors/tpm/verify/make-credential.ts";
import { verifyQuote } from "../src/attestors/tpm/verify/quote.ts";
import { encodeChallenge, parsePayload, parseQuote } from "../src/attestors/tpm/wire.ts";
import { systemRandom } from "../src/lib/random.ts";
import { parseCertificate } from "../src/pki/certificate.ts";
import { type AkKind, type EkKind, SoftVendor } from "./lib/soft-node.ts";
import { serveOperations } from "./lib/worker.ts";

const vendor = new SoftVendor();
/** Every PCR of a bank. */
const SELECTION = [{ bank: "sha256", indices: Array.from({ length: 24 }, (_, index) => index) }] as const;

const operations = {
  /** CPU time of one quote's verification, and of one attestation key's; `first` is the process's first quote. In µs. */
  async quote(o: { ak: AkKind; times: number }): Promise<{ first: number; quote: number; ak: number }> {
    const { quoting, csrKey } = await vendor.node("quoting", "ec-p256", o.ak);
    const parameters = parsePayload(quoting.payload).ak;
    const { key, area } = verifyAk(parameters);
    const { scheme } = area;
    if (scheme === undefined) throw new Error("the key has no scheme");
    const nonce = systemRandom.bytes(32);
    const proof = parseQuote(await quoting.respond(encodeChallenge({ kind: "quote", nonce, selection: SELECTION })));
    const request = { key, scheme, qualifyingData: quoteBinding(nonce, csrKey), selection: SELECTION };
    return {
      first: cpuOf(1, () => verifyQuote(proof, request)),
      quote: warmed(o.times, () => verifyQuote(proof, request)),
      ak: warmed(o.times, () => verifyAk(parameters)),
    };
  },

  /** CPU time of judging an endorsement key's certificate, its parsing included, and of making a credential for the key. In µs. */
  async endorsement(o: { ek: EkKind; times: number }): Promise<{ certificate: number; credential: number }> {
    const { plain } = await vendor.node("endorsed", o.ek, "ec-p256");
    const payload = parsePayload(plain.payload);
    const authorities = vendor.certificates.map(parseCertificate);
    const { name } = verifyAk(payload.ak);
    const ek = readEndorsementKey(payload.ek);
    const secret = systemRandom.bytes(32);
    const certificate = (): void => {
      const sent = readEndorsementKey(payload.ek).certificate;
      if (sent === undefined) throw new Error("no certificate");
      verifyEkCertificate(sent, authorities, Date.now());
    };
    return {
      certificate: warmed(o.times, certificate),
      credential: warmed(o.times, () => makeCredential(ek, name, secret, (count) => systemRandom.bytes(count))),
    };
  },
};

/** The operations, for the bench's side. */
export type TpmVerifyOperations = typeof operations;

/** As in a server that has done it before. */
function warmed(times: number, work: () => unknown): number {
  cpuOf(Math.ceil(times / 4), work);
  return cpuOf(times, work);
}

/** User and system time of the whole process, collection of garbage included, per call. */
function cpuOf(times: number, work: () => unknown): number {
  const before = process.cpuUsage();
  for (let time = 0; time < times; time++) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / times;
}

serveOperations(operations);
