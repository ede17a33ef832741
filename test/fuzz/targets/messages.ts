/** The four JSON messages of `tpm`, and PEM inside the first: what is read is written and read as the same. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { mutateJson } from "../../../scripts/fuzz/mutate-json.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import {
  encodeChallenge,
  encodePayload,
  encodeQuote,
  encodeSecret,
  MAX_MESSAGE_BYTES,
  parseChallenge,
  parsePayload,
  parseQuote,
  parseSecret,
} from "../../../src/attestors/tpm/wire.ts";
import { pemBlocks, pemEncode } from "../../../src/pki/pem.ts";
import { CHALLENGES, PAYLOADS, PEMS, QUOTE_RESPONSES, SECRETS } from "../seeds/messages.ts";
import { KEYS } from "../seeds/proofs.ts";
import { TPM } from "./covers.ts";
import { checkPlain, equal } from "./plain.ts";
import { judged, same } from "./refusal.ts";

/** One byte more than is read, so that the limit is met. */
const MAX_BYTES = MAX_MESSAGE_BYTES + 1;

/** The first message. */
export const payload = message("payload", "JSON: parsePayload", PAYLOADS, parsePayload, encodePayload);
/** What the server asks. */
export const challenge = message("challenge", "JSON: parseChallenge", CHALLENGES, parseChallenge, encodeChallenge);
/** The answer to a credential. */
export const secret = message("secret", "JSON: parseSecret", SECRETS, parseSecret, encodeSecret);
/** The answer to a quote challenge. */
export const quoteResponse = message("quote-response", "JSON: parseQuote", QUOTE_RESPONSES, parseQuote, encodeQuote);

/** PEM text. */
export const pem: FuzzTarget = {
  name: "pem",
  about: "PEM: pemBlocks, pemEncode",
  covers: TPM,
  maxBytes: 16_384,
  seeds: () => [
    ...PEMS,
    ...KEYS.map(({ publicKey }) => Buffer.from(publicKey.export({ type: "spki", format: "pem" }))),
  ],
  mutate: mutateBytes,
  run: (input) => {
    const text = Buffer.from(input).toString("latin1");
    return judged(
      () => pemBlocks(text),
      (blocks) => {
        checkPlain(blocks, input.length);
        for (const { label, der } of blocks) {
          const [again, ...others] = pemBlocks(pemEncode(label, der));
          holds(
            others.length === 0 && again?.label === label && same(again.der, der),
            "a block is written and read as the same",
          );
        }
      },
    );
  },
};

function message<T>(
  name: string,
  about: string,
  seeds: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): FuzzTarget {
  return {
    name,
    about,
    covers: TPM,
    maxBytes: MAX_BYTES,
    mutate: mutateJson,
    seeds: () => seeds,
    run: (input) =>
      judged(
        () => parse(input),
        (value) => {
          checkPlain(value, input.length);
          holds(equal(parse(encode(value)), value), "a message is written and read as the same");
        },
      ),
  };
}
