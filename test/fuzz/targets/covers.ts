/** The code in which coverage counts, by what is read with it. */

/** A TPM's structures and messages. */
export const TPM = [
  "/src/attestors/tpm/structures/",
  "/src/attestors/tpm/verify/",
  "/src/attestors/tpm/wire.ts",
  "/src/pki/",
];
/** Keys, certificates, tokens and bundles. */
export const PKI = ["/src/pki/", "/src/spiffe/"];
