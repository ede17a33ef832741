/** `tpm` on the server: admits a node by its endorsement key, has its TPM prove itself, and judges what it booted. */
import { timingSafeEqual } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { AgentError, errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { agentId, type TrustDomain } from "../../spiffe/id.ts";
import type { Selector } from "../../spiffe/selector.ts";
import type { AttestResult, ServerNodeAttestor } from "../node.ts";
import type { TpmServerConfig } from "./config.ts";
import type { EkDirectory } from "./ek-directory.ts";
import { type Drift, drift, factsOf } from "./facts.ts";
import { quoteBinding } from "./structures/bindings.ts";
import { type AttestationKey, verifyAk } from "./verify/ak.ts";
import { must, parsed, refuse } from "./verify/checks.ts";
import { type EndorsementKey, readEndorsementKey } from "./verify/ek.ts";
import { checkEkProfile, type TpmModel, verifyEkCertificate } from "./verify/ek-certificate.ts";
import type { EkException } from "./verify/ek-exceptions.ts";
import { makeCredential } from "./verify/make-credential.ts";
import { meetPolicy, selectionFor } from "./verify/pcr-policy.ts";
import { type VerifiedQuote, verifyQuote } from "./verify/quote.ts";
import { encodeChallenge, NONCE_BYTES, parsePayload, parseQuote, parseSecret, TPM, type TpmPayload } from "./wire.ts";

/** What the attestor needs. */
export interface TpmServerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly directory: EkDirectory;
  /** Roots whose certificates may lack the TCG's names. Default: `NAMELESS_ROOTS`. */
  readonly namelessRoots?: ReadonlySet<string>;
}

/** A key that is let in. */
interface Admission {
  readonly model: TpmModel | undefined;
  readonly exceptions: readonly EkException[];
}

/** What the server demands of nodes, and tells of them. */
type TpmPolicy = Pick<TpmServerConfig, "ekKinds" | "profiles" | "quoted" | "requireQuote" | "pcrSelectors">;
type Request = Parameters<ServerNodeAttestor["attest"]>[0];
type Ask = Parameters<ServerNodeAttestor["attest"]>[1];

/** Length of the secret in a credential: a digest of the endorsement key's name algorithm is the longest that fits. */
const SECRET_BYTES = 32;

/** One challenge to every node, a second to those that can quote. Every node can attest again. */
export class TpmServerAttestor implements ServerNodeAttestor {
  readonly name = TPM;
  readonly #deps: TpmServerDeps;
  readonly #config: TpmPolicy;

  constructor(deps: TpmServerDeps, config: TpmPolicy) {
    this.#deps = deps;
    this.#config = config;
  }

  /** Throws `PERMISSION_DENIED`; the message names the check that failed, the public one says only that one did. */
  async attest(request: Request, challenge: Ask): Promise<AttestResult> {
    const payload = parsed("payload", () => parsePayload(request.payload));
    const ek = readEndorsementKey(payload.ek);
    const { model, exceptions } = await this.#admit(ek);
    const ak = verifyAk(payload.ak);
    this.#checkOffer(payload);
    await this.#activate(ek, ak, challenge);
    const id = agentId(this.#deps.trustDomain, TPM, ek.hash);
    const quote = payload.quoteBanks === undefined ? undefined : await this.#quote(ak, request, challenge);
    const met = meetPolicy(this.#config.profiles, quote?.pcrs ?? new Map());
    const before = (await request.nodes.factsOf(id)) ?? {};
    const facts = quote === undefined ? undefined : factsOf(quote);
    return {
      agentId: id,
      selectors: this.#selectors(ek, model, met, quote),
      canReattest: true,
      ...(facts === undefined ? {} : { facts }),
      enrolled: () => this.#tell(id, ek.hash, exceptions, drift(before, facts)),
    };
  }

  /** The key is of an allowed kind, and it is listed, or a vendor certified it. */
  async #admit(ek: EndorsementKey): Promise<Admission> {
    const { ekKinds } = this.#config;
    must("ek-key-type", ekKinds.includes(ek.kind), () => `a key of kind ${ek.kind}, which ek_kinds does not have`);
    const isListed = await this.#deps.directory.lists(ek.hash);
    try {
      return await this.#vouched(ek);
    } catch (error) {
      if (!isListed || !(error instanceof AgentError)) throw error;
      // A listed key needs no vendor: what is wrong with the certificate, or with the folder, does not keep it out.
      if (error.code !== "PERMISSION_DENIED") {
        const fields = { pub_hash: ek.hash, error: errorText(error) };
        this.#deps.log.warn("A listed key is let in without what its vendor says of the TPM", fields);
      }
      return { model: undefined, exceptions: [] };
    }
  }

  /** What a vendor says of the TPM, once the certificate is verified. */
  async #vouched(ek: EndorsementKey): Promise<Admission> {
    const { clock, directory, namelessRoots } = this.#deps;
    const { certificate } = ek;
    if (certificate === undefined) throw refuse("ek-known", `the key ${ek.hash} is not listed, and has no certificate`);
    // Before the vendors' folder is looked at: it costs little, and strangers can send anything.
    checkEkProfile(certificate);
    const authorities = await directory.authorities();
    if (authorities === undefined) throw refuse("ek-known", `the key ${ek.hash} is not listed, and ca_path is not set`);
    return verifyEkCertificate(certificate, authorities, clock.now(), namelessRoots);
  }

  /** Before the TPM is troubled: a policy needs a quote, and a quote needs its banks. */
  #checkOffer({ quoteBanks }: TpmPayload): void {
    const { profiles, requireQuote } = this.#config;
    const isNeeded = requireQuote || profiles.length > 0;
    must("quote-offered", quoteBanks !== undefined || !isNeeded, "the agent cannot quote PCRs");
    if (quoteBanks === undefined) return;
    const missing = this.#selection().find(({ bank }) => !quoteBanks.includes(bank));
    const have = quoteBanks.join(", ") || "none";
    must("quote-bank", missing === undefined, () => `the TPM has no PCR bank ${missing?.bank}; it has ${have}`);
  }

  /** Only the TPM that holds both keys can read the secret. */
  async #activate(ek: EndorsementKey, ak: AttestationKey, challenge: Ask): Promise<void> {
    const { random } = this.#deps;
    const secret = random.bytes(SECRET_BYTES);
    const credential = makeCredential(ek, ak.name, secret, (count) => random.bytes(count));
    const answer = await challenge(encodeChallenge({ kind: "credential", credential }));
    const told = parsed("challenge-response", () => parseSecret(answer));
    const isSecret = told.length === secret.length && timingSafeEqual(told, secret);
    must("credential", isSecret, "the TPM of this endorsement key does not hold this attestation key");
  }

  async #quote(ak: AttestationKey, request: Request, challenge: Ask): Promise<VerifiedQuote> {
    const selection = this.#selection();
    const nonce = this.#deps.random.bytes(NONCE_BYTES);
    const answer = await challenge(encodeChallenge({ kind: "quote", nonce, selection }));
    const proof = parsed("challenge-response", () => parseQuote(answer));
    const spki = request.csrPublicKey.export({ type: "spki", format: "der" });
    const { scheme } = ak.area;
    if (scheme === undefined) throw refuse("ak-scheme", "the key has no signing scheme of its own");
    return verifyQuote(proof, { key: ak.key, scheme, qualifyingData: quoteBinding(nonce, spki), selection });
  }

  #selection() {
    return selectionFor(this.#config.profiles, this.#config.quoted);
  }

  /** After the node was let in: a stranger must not write this into the log. */
  #tell(id: string, hash: string, exceptions: readonly EkException[], news: readonly Drift[]): void {
    const { log } = this.#deps;
    for (const exception of exceptions) {
      log.info("An endorsement certificate was accepted by an exception", { exception, pub_hash: hash });
    }
    for (const { level, message, fields } of news) log[level](message, { agent_id: id, ...fields });
  }

  #selectors(
    ek: EndorsementKey,
    model: TpmModel | undefined,
    profiles: readonly string[],
    quote: VerifiedQuote | undefined,
  ): readonly Selector[] {
    const values = [`pub_hash:${ek.hash}`, ...profiles.map((name) => `policy:${name}`)];
    if (model !== undefined) {
      values.push(`manufacturer:${model.manufacturer}`, `model:${model.model}`, `version:${model.version}`);
    }
    if (this.#config.pcrSelectors) {
      for (const [bank, pcrs] of quote?.pcrs ?? []) {
        for (const [index, value] of pcrs) values.push(`pcr:${bank}:${index}:${Buffer.from(value).toString("hex")}`);
      }
    }
    return values.map((value) => ({ type: TPM, value }));
  }
}
