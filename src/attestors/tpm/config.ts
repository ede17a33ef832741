/** How `NodeAttestor "tpm"` is configured: the plugin's keys for the server, and Holdfast's own. */
import { defaulted, optional } from "../../config/keys.ts";
import { plugin } from "../../config/plugins.ts";
import { choice, duration, flag, path, type TextMap, text, textMap, texts, words } from "../../config/values.ts";
import { digestBytes, PCR_BANKS, type PcrBank } from "./structures/algorithms.ts";
import { MAX_PCR } from "./structures/pcr-selection.ts";
import type { AllowedPcr, PcrProfile } from "./verify/pcr-policy.ts";
import { TPM } from "./wire.ts";

/** Kinds of endorsement keys, by the names that other keys of the configuration have for key types. */
export const EK_KINDS = ["rsa-2048", "ec-p256", "ec-p384"] as const;

/** A kind of endorsement key. */
export type EkKind = (typeof EK_KINDS)[number];

/** A kind of attestation key. */
export type AkKind = "ec-p256" | "rsa-2048";

/** What the agent's half is told. */
export interface TpmAgentConfig {
  /** Absent: the first of `/dev/tpmrm0` and `/dev/tpm0` that exists. */
  readonly tcti: string | undefined;
  /** What a step of the ceremony may take in the TPM. */
  readonly timeoutMs: number;
  /** Absent: as it was the last time, else the first with a certificate. */
  readonly ek: EkKind | undefined;
  readonly ak: AkKind;
}

/** What the server's half is told. */
export interface TpmServerConfig {
  /** Folder of vendors' CA certificates. */
  readonly caPath: string | undefined;
  /** Folder of files named by the hashes of endorsement keys. */
  readonly hashPath: string | undefined;
  /** Kinds of endorsement keys that may attest: a TPM has one of each, and an identity by each. */
  readonly ekKinds: readonly EkKind[];
  /** Empty: any PCR values will do. */
  readonly profiles: readonly PcrProfile[];
  /** Quoted besides what the profiles name. */
  readonly quoted: { readonly bank: PcrBank; readonly indices: readonly number[] };
  /** Whether agents that cannot quote are refused; a policy refuses them anyway. */
  readonly requireQuote: boolean;
  /** Whether each quoted PCR becomes a selector. */
  readonly pcrSelectors: boolean;
}

const SECOND_MS = 1_000;
/** Slow TPMs take half a minute to make an RSA key. */
const DEFAULT_TIMEOUT_MS = 60 * SECOND_MS;
/** What a boot measures on a PC: firmware, its configuration, boot loader, Secure Boot. */
const BOOT_PCRS = ["0", "1", "2", "3", "4", "5", "6", "7"];
/** The debug PCR and the one of applications (TCG PC Client Platform TPM Profile, 4.6). */
const SOFTWARE_PCRS: ReadonlySet<number> = new Set([16, 23]);
/** The last that a PC's firmware measures into at every boot. */
const LAST_BOOT_PCR = 7;
const MAX_PROFILES = 64;
const MAX_VALUES = 256;

/** For the agent. */
export const TPM_AGENT_PLUGIN = plugin(
  TPM,
  {
    tcti: optional(
      text("`device:path`, `swtpm:path=…`, `swtpm:host=…,port=…`"),
      "How the TPM is reached; other names go to libtss2.",
      { fallback: "`device:/dev/tpmrm0`, or `/dev/tpm0` where that is missing" },
    ),
    timeout: defaulted(duration(SECOND_MS), DEFAULT_TIMEOUT_MS, "How long a step of the proof may take in the TPM."),
    ek: optional(choice(words(...EK_KINDS)), "The endorsement key, whose hash is the agent's ID.", {
      fallback: "the one used before, else the first that has a certificate",
    }),
    ak: defaulted(
      choice(words("ec-p256", "rsa-2048")),
      "ec-p256",
      "The attestation key that is made for each proof; servers of 2019 know RSA only.",
    ),
  },
  "Proves which TPM the node has and, to a Holdfast server, what it booted.",
  ({ tcti, timeout, ek, ak }): TpmAgentConfig => ({ tcti, timeoutMs: timeout, ek, ak }),
);

/** For the server. */
export const TPM_SERVER_PLUGIN = plugin(
  TPM,
  {
    ca_path: optional(path(), "Folder of TPM vendors' CA certificates, roots and intermediates, PEM or DER.", {
      fallback: "`/opt/spire/.data/certs` if it exists and neither key is set",
    }),
    hash_path: optional(path(), "Folder with a file for each admitted endorsement key, named by its hash.", {
      fallback: "`/opt/spire/.data/hashes` if it exists and neither key is set",
    }),
    ek_kinds: defaulted(
      texts(),
      [...EK_KINDS],
      "Kinds of endorsement keys that may attest. A TPM has one of each, and an ID by each: name one, and it has one ID.",
    ),
    pcr_policy: optional(
      textMap('blocks `"profile" { bank { "index" = ["hex", …] } }`'),
      "Profiles of allowed PCR values, of which a node must meet one. Banks: `sha1`, `sha256`, `sha384`.",
    ),
    require_quote: defaulted(
      flag(),
      false,
      "Whether agents that cannot quote, such as stock ones, are refused; `pcr_policy` refuses them anyway.",
    ),
    pcr_bank: defaulted(choice(words(...PCR_BANKS)), "sha256", "Bank of the PCRs in `pcrs`."),
    pcrs: defaulted(texts(), BOOT_PCRS, "PCRs that are quoted besides those of the profiles, 0 to 23."),
    pcr_selectors: defaulted(flag(), false, "Whether agents get a selector `tpm:pcr:bank:index:hex` for each of them."),
  },
  "Admits nodes by their TPM: an endorsement key that a vendor certified or that is listed, and the PCRs it quotes.",
  (data, report): TpmServerConfig | undefined => {
    const ekKinds = data.ek_kinds.filter((kind): kind is EkKind => EK_KINDS.some((known) => known === kind));
    const isKnown = ekKinds.length === data.ek_kinds.length && ekKinds.length > 0;
    if (!isKnown) report("ek_kinds", `must be a list of ${EK_KINDS.join(", ")}`);
    const indices = pcrIndices(data.pcrs, (problem) => report("pcrs", problem));
    const isEmpty = data.pcr_policy !== undefined && Object.keys(data.pcr_policy).length === 0;
    if (isEmpty) report("pcr_policy", 'names no profile: add one such as "name" { sha256 { "7" = ["…"] } }');
    const profiles = readProfiles(data.pcr_policy ?? {}, (key, problem) => report(`pcr_policy${key}`, problem));
    if (indices === undefined || profiles === undefined || isEmpty || !isKnown) return undefined;
    return {
      caPath: data.ca_path,
      hashPath: data.hash_path,
      ekKinds,
      profiles,
      quoted: { bank: data.pcr_bank, indices },
      requireQuote: data.require_quote,
      pcrSelectors: data.pcr_selectors,
    };
  },
);

function pcrIndices(texts: readonly string[], report: (problem: string) => void): readonly number[] | undefined {
  const wrong = texts.find((item) => !isIndex(item));
  if (wrong === undefined) return [...new Set(texts.map(Number))];
  report(`"${wrong}" is no PCR; want 0 to ${MAX_PCR}`);
  return undefined;
}

/** Reads `pcr_policy`; reports everything that is wrong with it. */
function readProfiles(map: TextMap, report: (key: string, problem: string) => void): readonly PcrProfile[] | undefined {
  let isGood = true;
  const wrong = (key: string, problem: string): void => {
    isGood = false;
    report(key, problem);
  };
  const names = Object.keys(map);
  if (names.length > MAX_PROFILES) wrong("", `has ${names.length} profiles; at most ${MAX_PROFILES} are read`);
  const profiles = names.map((name): PcrProfile => {
    const at = `.${name}`;
    // The name becomes a selector's value.
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
      wrong(at, "is no name for a profile; want letters, digits, dots, dashes and underscores");
    }
    const banks = map[name] ?? {};
    const pcrs = isList(banks)
      ? []
      : Object.keys(banks).flatMap((bank) => readBank(bank, banks[bank] ?? {}, `${at}.${bank}`, wrong));
    if (pcrs.length === 0) wrong(at, 'names no PCR: add a bank such as sha256 { "7" = ["…"] }');
    return { name, pcrs };
  });
  return isGood ? profiles : undefined;
}

function readBank(
  name: string,
  map: TextMap | readonly string[],
  at: string,
  wrong: (key: string, problem: string) => void,
): readonly AllowedPcr[] {
  const bank = PCR_BANKS.find((known) => known === name);
  if (bank === undefined || isList(map)) {
    wrong(at, bank === undefined ? `is no bank; known: ${PCR_BANKS.join(", ")}` : "must be a block { … }");
    return [];
  }
  return Object.keys(map).map((index): AllowedPcr => {
    const here = `${at}.${index}`;
    const values = map[index] ?? [];
    if (!isIndex(index)) wrong(here, `is no PCR; want 0 to ${MAX_PCR}`);
    if (!isList(values)) {
      wrong(here, "must be a value in hex, or a list of them");
      return { bank, index: 0, values: [] };
    }
    if (values.length === 0 || values.length > MAX_VALUES) wrong(here, `must have 1 to ${MAX_VALUES} values`);
    const digits = 2 * digestBytes(bank);
    const bad = values.find((value) => value.length !== digits || !/^[0-9a-fA-F]+$/.test(value));
    if (bad !== undefined) wrong(here, `"${bad.slice(0, digits)}" is no value of ${bank}: want ${digits} hex digits`);
    if (SOFTWARE_PCRS.has(Number(index))) wrong(here, "is a PCR that any software can reset, and proves nothing");
    const isUnmeasured = Number(index) <= LAST_BOOT_PCR && values.some((value) => /^(?:0+|[fF]+)$/.test(value));
    if (isUnmeasured) wrong(here, "has the value of a PCR into which nothing was measured, and proves nothing");
    return { bank, index: Number(index), values: values.map((value) => value.toLowerCase()) };
  });
}

function isIndex(index: string): boolean {
  return /^(?:0|[1-9][0-9]?)$/.test(index) && Number(index) <= MAX_PCR;
}

function isList(value: TextMap | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}
