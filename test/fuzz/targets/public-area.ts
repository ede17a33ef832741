/** TPMT_PUBLIC: every reader of it, its Name, and the SubjectPublicKeyInfo that is made of it. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import {
  headOf,
  nameOf,
  type PublicArea,
  parametersOf,
  parsePublicArea,
  spkiOf,
} from "../../../src/attestors/tpm/structures/public-area.ts";
import { readSpki } from "../../../src/pki/spki.ts";
import { GENUINE } from "../seeds/genuine.ts";
import { KEYS } from "../seeds/proofs.ts";
import { ALG, join, nameOfArea, publicArea, sized, u16, u32 } from "../seeds/structures.ts";
import { TPM } from "./covers.ts";
import { judged, outcome, same } from "./refusal.ts";

/** TPMT_PUBLIC. */
export const area: FuzzTarget = {
  name: "public-area",
  about: "TPMT_PUBLIC: parsePublicArea, headOf, parametersOf, nameOf, spkiOf",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () => [
    ...KEYS.map((key) => publicArea(key)),
    ...KEYS.map((key) =>
      publicArea(key, { aes: 128, noScheme: true, attributes: 0x0003_00b2, policy: Buffer.alloc(32, 8) }),
    ),
    ...KEYS.map((key) => publicArea(key, { nameAlg: ALG.sha1, exponent: 65_537 })),
    ...GENUINE.map(({ akPublic }) => akPublic),
  ],
  mutate: mutateBytes,
  run: (input) => {
    const verdict = judged(
      () => parsePublicArea(input),
      (parsed) => check(input, parsed),
    );
    const head = outcome(() => headOf(input), "MALFORMED");
    const parameters = outcome(() => parametersOf(input), "MALFORMED");
    holds(head.verdict === parameters.verdict, "head and parameters are read alike");
    if (verdict === "accepted") holds(head.verdict === "accepted", "what is read whole has a head");
    if (parameters.verdict === "accepted")
      holds(same(parameters.value, input.subarray(0, parameters.value.length)), "parameters are the first bytes");
    return verdict;
  },
};

function check(input: Uint8Array, parsed: PublicArea): void {
  const name = nameOf(parsed);
  holds(same(parsed.bytes, input), "the bytes that are named are those that were read");
  holds(same(name, nameOf(parsed)) && same(name, nameOfArea(input)), "the Name is the hash of what was read");
  holds(isEncodingOf(parsed, input), "what was read is written as the same bytes");
  const spki = spkiOf(parsed);
  const read = outcome(() => readSpki(spki), "MALFORMED", "UNTRUSTED");
  if (read.verdict === "refused") return;
  holds(read.value.kind === parsed.key.kind, "the SubjectPublicKeyInfo is of the same kind");
  if (read.value.kind === "rsa" && parsed.key.kind === "rsa")
    holds(same(read.value.n, parsed.key.n) && same(read.value.e, parsed.key.e), "it has the same numbers");
  if (read.value.kind === "ec" && parsed.key.kind === "ec")
    holds(same(read.value.x, parsed.key.x) && same(read.value.y, parsed.key.y), "it has the same point");
}

/** Whether the fields are the input's, where a field may be written in two ways: in one of them. */
function isEncodingOf(
  { nameAlg, attributes, authPolicy, scheme, symmetricBits, key }: PublicArea,
  input: Uint8Array,
): boolean {
  const type = u16(key.kind === "rsa" ? 0x0001 : 0x0023);
  const symmetric = symmetricBits === undefined ? u16(ALG.null) : join(u16(0x0006), u16(symmetricBits), u16(0x0043));
  const signing =
    scheme === undefined ? u16(ALG.null) : join(u16(scheme.kind === "rsassa" ? 0x0014 : 0x0018), u16(ALG[scheme.hash]));
  const front = join(type, u16(ALG[nameAlg]), u32(attributes), sized(authPolicy), symmetric, signing);
  if (!same(front, input.subarray(0, front.length))) return false;
  const rest = input.subarray(front.length);
  if (key.kind === "rsa") {
    const exponent = Buffer.concat([Buffer.alloc(4 - key.e.length), key.e]);
    const modulus = sized(key.n);
    const isDefault = exponent.readUInt32BE() === 65_537 && same(rest, join(u16(key.n.length * 8), u32(0), modulus));
    return isDefault || same(rest, join(u16(key.n.length * 8), exponent, modulus));
  }
  const curve = join(u16({ "P-256": 3, "P-384": 4, "P-521": 5 }[key.curve]), u16(ALG.null));
  if (!same(curve, rest.subarray(0, 4))) return false;
  const x = sizedAt(rest, 4);
  const y = sizedAt(rest, 6 + x.length);
  return rest.length === 8 + x.length + y.length && isNumber(x, key.x) && isNumber(y, key.y);
}

function sizedAt(bytes: Uint8Array, at: number): Uint8Array {
  const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return bytes.subarray(at + 2, at + 2 + length);
}

/** Whether `short` is `full` but for zeros that it may lack in front. */
function isNumber(short: Uint8Array, full: Uint8Array): boolean {
  const lacking = full.length - short.length;
  return lacking >= 0 && full.subarray(0, lacking).every((byte) => byte === 0) && same(full.subarray(lacking), short);
}
