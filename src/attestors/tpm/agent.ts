/** `tpm` on the agent: shows which TPM this is, answers what only that TPM can answer, and quotes what it booted. */
import type { KeyObject } from "node:crypto";
import { AgentError, errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { TpmHandle, TpmKey } from "../../lib/native-tpm.ts";
import type { AgentNodeAttestor, Attestation } from "../node.ts";
import type { TpmAgentConfig } from "./config.ts";
import type { EkChoiceStore } from "./device/ek-choice.ts";
import { findEndorsementKey, type TpmEndorsementKey } from "./device/endorsement-key.ts";
import { isUnsupported } from "./device/errors.ts";
import { pcrBanks } from "./device/pcrs.ts";
import { makeQuote } from "./device/quote.ts";
import { attestationKey, p256Low } from "./device/templates.ts";
import type { TpmDevice } from "./device/tpm-device.ts";
import type { PcrBank } from "./structures/algorithms.ts";
import { ekHash, quoteBinding } from "./structures/bindings.ts";
import { checkCredential } from "./structures/credential.ts";
import {
  encodePayload,
  encodeQuote,
  encodeSecret,
  NONCE_BYTES,
  parseChallenge,
  TPM,
  type TpmChallenge,
} from "./wire.ts";

/** What the attestor needs. */
export interface TpmAgentDeps {
  readonly log: Logger;
  readonly device: TpmDevice;
  readonly choice: EkChoiceStore;
}

/** Makes a new attestation key for each ceremony; nothing of it stays in the TPM. */
export class TpmAgentAttestor implements AgentNodeAttestor {
  readonly name = TPM;
  readonly #deps: TpmAgentDeps;
  readonly #config: Pick<TpmAgentConfig, "ek" | "ak">;

  constructor(deps: TpmAgentDeps, config: Pick<TpmAgentConfig, "ek" | "ak">) {
    this.#deps = deps;
    this.#config = config;
  }

  /**
   * Throws `FAILED_PRECONDITION` where an operator must act (no TPM, no permission, no endorsement key), `UNAVAILABLE`
   * where waiting may help (busy, no answer by its deadline).
   */
  async begin({ csrPublicKey }: { readonly csrPublicKey: KeyObject }, signal: AbortSignal): Promise<Attestation> {
    const { device } = this.#deps;
    const { ek: configured, ak: kind } = this.#config;
    const stored = await this.#deps.choice.load();
    const made = await device.use(async (tpm) => {
      const ek = await findEndorsementKey(tpm, { kind: configured, remembered: stored?.template });
      return { ek, ...(await createAk(tpm, ek, attestationKey(kind))), banks: await pcrBanks(tpm) };
    }, signal);
    await this.#remember(made.ek, stored?.hash);
    const payload = encodePayload({
      ek: { certificate: made.ek.certificate, publicKey: made.ek.spki },
      ak: {
        public: made.ak.public,
        createData: made.ak.creationData,
        createAttestation: made.ak.creationAttestation,
        createSignature: made.ak.creationSignature,
      },
      quoteBanks: made.banks,
    });
    const ceremony = new Ceremony(device, made, csrPublicKey, signal);
    return {
      payload,
      respond: (challenge) => ceremony.respond(challenge),
      // The TPM keeps nothing of a ceremony between two steps.
      async [Symbol.asyncDispose]() {},
    };
  }

  async #remember(ek: TpmEndorsementKey, before: string | undefined): Promise<void> {
    const { log, choice } = this.#deps;
    const hash = ekHash(ek.spki);
    if (hash === before) return;
    if (before !== undefined) {
      log.warn("The endorsement key is not the one this agent was known by; its ID changes", {
        old_pub_hash: before,
        pub_hash: hash,
      });
    }
    log.info("This agent is known by its TPM's endorsement key", {
      ek: ek.kind,
      pub_hash: hash,
      certificate: ek.certificate !== undefined,
    });
    try {
      await choice.save({ template: ek.template, hash });
    } catch (error) {
      log.warn("Could not store which endorsement key is used", { error: errorText(error) });
    }
  }
}

/** What a ceremony holds outside the TPM. */
interface Made {
  readonly ek: TpmEndorsementKey;
  readonly parent: TpmKey;
  readonly ak: Awaited<ReturnType<TpmHandle["createAk"]>>;
  readonly banks: readonly PcrBank[];
}

/** The steps after the payload: a credential, then a quote if the server wants one. Each at most once. */
class Ceremony {
  readonly #device: TpmDevice;
  readonly #made: Made;
  readonly #spki: Uint8Array;
  readonly #signal: AbortSignal;
  #next: TpmChallenge["kind"] | "nothing" = "credential";

  constructor(device: TpmDevice, made: Made, csrPublicKey: KeyObject, signal: AbortSignal) {
    this.#device = device;
    this.#made = made;
    this.#spki = csrPublicKey.export({ type: "spki", format: "der" });
    this.#signal = signal;
  }

  async respond(message: Uint8Array): Promise<Uint8Array> {
    const challenge = parseChallenge(message);
    if (challenge.kind !== this.#next) {
      throw new AgentError("FAILED_PRECONDITION", `the server asked for a ${challenge.kind}; expected ${this.#next}`);
    }
    this.#next = challenge.kind === "credential" ? "quote" : "nothing";
    return challenge.kind === "credential" ? await this.#activate(challenge) : await this.#quote(challenge);
  }

  async #activate({ credential: sent }: Extract<TpmChallenge, { kind: "credential" }>): Promise<Uint8Array> {
    checkCredential(sent);
    const { parent, ak, ek } = this.#made;
    const secret = await this.#device.use(
      (tpm) => tpm.activateCredential(parent, ak, ek.key, sent.credential, sent.secret),
      this.#signal,
    );
    try {
      return encodeSecret(secret);
    } finally {
      secret.fill(0);
    }
  }

  async #quote({ nonce, selection }: Extract<TpmChallenge, { kind: "quote" }>): Promise<Uint8Array> {
    if (nonce.length !== NONCE_BYTES) {
      throw new AgentError("FAILED_PRECONDITION", `the server's nonce has ${nonce.length} bytes, want ${NONCE_BYTES}`);
    }
    const missing = selection.find(({ bank }) => !this.#made.banks.includes(bank));
    if (missing !== undefined) {
      throw new AgentError("FAILED_PRECONDITION", `the server wants PCRs of bank ${missing.bank}, which the TPM lacks`);
    }
    // Nothing but our own request can be bound: no server can have a statement of its choice signed.
    const qualifyingData = quoteBinding(nonce, this.#spki);
    const { parent, ak: blob } = this.#made;
    const key = { parent, blob, hash: "sha256" } as const;
    return encodeQuote(await this.#device.use((tpm) => makeQuote(tpm, key, qualifyingData, selection), this.#signal));
  }
}

/**
 * Makes the attestation key below the P-256 endorsement key, which is quick: in the endorsement hierarchy, because a TPM
 * obfuscates the counters of resets and its firmware's version for keys of the owner's (TPM 2.0 Part 1, 36.7). A TPM
 * without that curve has another endorsement key.
 */
async function createAk(
  tpm: TpmHandle,
  ek: TpmEndorsementKey,
  template: Uint8Array,
): Promise<Pick<Made, "parent" | "ak">> {
  const quick: TpmKey = { hierarchy: "endorsement", template: p256Low(), auth: "policy-secret" };
  const parent = ek.kind === "ec-p256" ? ek.key : quick;
  try {
    return { parent, ak: await tpm.createAk(parent, template) };
  } catch (error) {
    if (parent === ek.key || !isUnsupported(error)) throw error;
    return { parent: ek.key, ak: await tpm.createAk(ek.key, template) };
  }
}
