/** Checks `endorsement_key` and `ek_certificate`: who the agent will be, and what the server needs to believe it. */
import { checkEkProfile, type TpmModel } from "../../../attestors/tpm/verify/ek-certificate.ts";
import { TPM } from "../../../attestors/tpm/wire.ts";
import { errorText } from "../../../lib/errors.ts";
import { type Certificate, parseCertificate } from "../../../pki/certificate.ts";
import { DerReader } from "../../../pki/der-reader.ts";
import { readGeneralName, SAN_IP_BYTES } from "../../../pki/general-names.ts";
import { Tag } from "../../../pki/tags.ts";
import { agentId, type TrustDomain } from "../../../spiffe/id.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { textOf, vendorName } from "./tpm.ts";
import type { FoundKey, TpmFailure } from "./tpm-questions.ts";
import { momentText, timeText } from "./words.ts";

/** The key, and what is known of this node already. */
export interface EkFacts {
  readonly key: FoundKey;
  readonly trustDomain: TrustDomain;
  readonly now: number;
  /** Of the key that was used before; undefined when none was. */
  readonly storedHash: string | undefined;
  /** Whether the node's stored SVID names this key: then the server knows it. */
  readonly hasJoined: boolean;
}

/** RFC 5280 4.2.2.1. */
const AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1";
const CA_ISSUERS = "1.3.6.1.5.5.7.48.2";
const MAX_DESCRIPTIONS = 16;
const MAX_BYTES = 65_536;

/** Decides on the key. */
export function judgeKey({ key, trustDomain, storedHash }: EkFacts): Verdict {
  const id = agentId(trustDomain, TPM, key.hash);
  const details = { kind: key.kind, pub_hash: key.hash, agent_id: id };
  const found = `${key.kind}; the agent's ID is ${id}`;
  if (storedHash === undefined || storedHash === key.hash) return { ...ok(found), details };
  return {
    ...warn(
      `${found}, which is not the one it had: the key's hash was ${storedHash}`,
      "the TPM was cleared or replaced, or `ek` was changed: entries of the old ID do not apply to the new one",
    ),
    details,
  };
}

/** Decides when no key was found. */
export function judgeNoKey({ found, advice }: TpmFailure): Verdict {
  return fail(
    found,
    advice ?? "choose another endorsement key with `ek`, or have the TPM set up anew by its maker's tool",
  );
}

/** Decides on the certificate. The server's operator has the last word: a hash in `hash_path` admits any key. */
export function judgeCertificate(facts: EkFacts): Verdict {
  const { key, now, hasJoined } = facts;
  const list = `an empty file ${key.hash} into the server's hash_path`;
  if (key.certificate === undefined) {
    const found = "the TPM holds none for this key";
    return hasJoined ? ok(`${found}; the server knows the key`) : warn(found, `put ${list}, which admits the key`);
  }
  let certificate: Certificate;
  let model: TpmModel | undefined;
  try {
    certificate = parseCertificate(key.certificate);
    ({ model } = checkEkProfile(certificate));
  } catch (error) {
    const found = `it does not follow the profile of such certificates: ${errorText(error)}`;
    return hasJoined ? ok(`${found}; the server knows the key`) : warn(found, `put ${list}, which admits the key`);
  }
  const issuer = certificate.issuer.text;
  const urls = caIssuers(certificate);
  const details = {
    subject: certificate.subject.text,
    issuer,
    ...(model === undefined ? {} : model),
    not_before: new Date(certificate.notBefore).toISOString(),
    not_after: new Date(certificate.notAfter).toISOString(),
    ca_issuers: urls,
  };
  const what = `${modelText(model)}, issued by "${issuer}"`;
  if (now < certificate.notBefore || now > certificate.notAfter) {
    const when =
      now < certificate.notBefore
        ? `valid from ${timeText(certificate.notBefore)}`
        : `expired ${momentText(certificate.notAfter, now)}`;
    return { ...warn(`${what}, ${when}`, `if the clock is right, put ${list}, which admits the key`), details };
  }
  const found = `${what}, valid until ${timeText(certificate.notAfter)}`;
  if (hasJoined) return { ...ok(found), details };
  const from = urls.length === 0 ? "" : ` (${urls.join(", ")})`;
  const advice = `put the certificate of "${issuer}"${from} into the server's ca_path, or ${list}`;
  return { ...ok(found, advice), details };
}

/** Where the issuer's certificate can be fetched, as the certificate itself says. */
export function caIssuers(certificate: Pick<Certificate, "extensions">): readonly string[] {
  const extension = certificate.extensions.find(({ oid }) => oid === AUTHORITY_INFO_ACCESS);
  if (extension === undefined) return [];
  try {
    const found = DerReader.of(extension.value, MAX_BYTES).listOf(Tag.SEQUENCE, MAX_DESCRIPTIONS, (list) =>
      list.sequence((description) => ({
        method: description.oid(),
        location: readGeneralName(description, SAN_IP_BYTES),
      })),
    );
    return found.flatMap(({ method, location }) =>
      method === CA_ISSUERS && location.type === "uri" ? [location.value] : [],
    );
  } catch {
    // It is a hint, which nothing rests on.
    return [];
  }
}

function modelText(model: TpmModel | undefined): string {
  if (model === undefined) return "a TPM that it does not describe";
  return `${manufacturerText(model.manufacturer)} ${model.model} (version ${model.version})`;
}

/** `id:49465800` is `IFX` in hex, with a zero after it; what is no such identifier stays as it is. */
function manufacturerText(manufacturer: string): string {
  const hex = /^id:([0-9A-Fa-f]{8})$/.exec(manufacturer)?.[1];
  const identifier = hex === undefined ? "" : textOf(Number.parseInt(hex, 16));
  return identifier === "" ? manufacturer : vendorName(identifier);
}
