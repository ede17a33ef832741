/** Changes JSON: its tree, the bytes inside its base64, and now and then its text. */
import { mutateBytes } from "./mutate-bytes.ts";
import type { Random } from "./random.ts";
import type { Mutate } from "./target.ts";

/** A place in a tree. */
interface Place {
  readonly parent: Record<string, unknown> | unknown[];
  readonly key: string;
}

/** What the messages say, what banks and PCRs are called, and what an object has by itself. */
const NAMES = `__proto__ constructor prototype toString hasOwnProperty length valueOf
  EK AK EC Quote Secret Nonce PCRs Banks Bank Indices Credential Quoted Signature
  Public CreateData CreateAttestation CreateSignature UseTCSDActivationFormat secret
  sha1 sha256 sha384 sha512 0 00 1 7 16 23 24 -1 1e1 0x1`.split(/\s+/);
const NUMBERS = [0, -0, 1, 7, 23, 24, 31, 255, -1, 0.5, 1e21, 2 ** 31, 2 ** 32, 2 ** 53, Number.MAX_VALUE, 5e-324];
const TEXTS = [
  "",
  "=",
  "====",
  "A",
  "AA==",
  "AB==",
  "AAAA",
  "AAAA\n",
  "-_-_",
  "sha256",
  "SHA256",
  "é",
  "\u0000",
  "\ud800",
];
/** One more than a message's base64 may have. */
const TOO_LONG = 32_769;
const DEEP = 2_000;
/** A tree that is copied into itself again and again would grow without end. */
const MAX_CHANGES = 3;
/** Deeper down nothing is changed. */
const MAX_DEPTH = 20;
const MORE: readonly unknown[] = [...NUMBERS, ...TEXTS];

/** What the documents that are changed are made of. */
interface Vocabulary {
  readonly names: readonly string[];
  readonly values: readonly unknown[];
}

/** Changes the messages of `tpm`. */
export const mutateJson = jsonMutator(NAMES, []);

/** Changes documents whose members have such names and values, among others. */
export function jsonMutator(names: readonly string[], values: readonly unknown[]): Mutate {
  const vocabulary = { names, values: [...MORE, ...values] };
  return (parent, other, random, words) => mutate(parent, other, random, words, vocabulary);
}

/** One change of the tree, mostly; of its text or of its bytes now and then. */
function mutate(
  parent: Uint8Array,
  other: Uint8Array,
  random: Random,
  words: readonly Uint8Array[],
  vocabulary: Vocabulary,
): Uint8Array {
  const tree = random.oneIn(8) ? undefined : parse(parent);
  if (tree === undefined) return mutateBytes(parent, other, random, words);
  const holder = { root: tree.value };
  let changes = 1;
  do changeTree(holder, other, random, words, vocabulary);
  while (changes++ < MAX_CHANGES && random.oneIn(3));
  const text = JSON.stringify(holder.root) ?? "null";
  return Buffer.from(random.oneIn(8) ? changeText(text, random) : text);
}

/** Kept inputs are changed again and again. */
const texts = new WeakMap<Uint8Array, string>();

function parse(bytes: Uint8Array): { readonly value: unknown } | undefined {
  let text = texts.get(bytes);
  if (text === undefined) {
    text = Buffer.from(bytes).toString();
    texts.set(bytes, text);
  }
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function changeTree(
  holder: { root: unknown },
  other: Uint8Array,
  random: Random,
  words: readonly Uint8Array[],
  vocabulary: Vocabulary,
): void {
  const { parent, key } = anyPlace(holder, random);
  const value = (parent as Record<string, unknown>)[key];
  const kind = random.below(12);
  if (kind === 0) set(parent, key, anyValue(random, vocabulary));
  else if (kind === 1) set(parent, key, graft(other, random));
  else if (typeof value === "string") set(parent, key, changeString(value, random, words));
  else if (typeof value === "number") set(parent, key, random.pick(NUMBERS));
  else if (Array.isArray(value)) changeArray(value, random, vocabulary);
  else if (typeof value === "object" && value !== null)
    changeObject(value as Record<string, unknown>, random, vocabulary);
  else set(parent, key, anyValue(random, vocabulary));
}

/** One of all places in a tree, each as likely as another. */
function anyPlace(root: Record<string, unknown>, random: Random): Place {
  let found: Place = { parent: root, key: "root" };
  let count = 1;
  const look = (parent: Record<string, unknown> | unknown[], depth: number): void => {
    for (const key of Object.keys(parent)) {
      if (random.oneIn(count++)) found = { parent, key };
      const value = (parent as Record<string, unknown>)[key];
      if (typeof value === "object" && value !== null && depth < MAX_DEPTH) {
        look(value as Record<string, unknown> | unknown[], depth + 1);
      }
    }
  };
  look(root, 0);
  return found;
}

/** As JSON has it: `__proto__` is a member like any other. */
function set(parent: Record<string, unknown> | unknown[], key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}

function graft(other: Uint8Array, random: Random): unknown {
  const tree = parse(other);
  if (tree === undefined) return null;
  const { parent, key } = anyPlace({ root: tree.value }, random);
  return (parent as Record<string, unknown>)[key];
}

function changeString(value: string, random: Random, words: readonly Uint8Array[]): string {
  switch (random.below(8)) {
    case 0:
      return random.pick(TEXTS);
    case 1:
      return random.oneIn(32) ? "A".repeat(TOO_LONG) : value.slice(0, random.below(value.length + 1));
    case 2:
      return value.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    case 3:
      return random.pick([`${value}=`, ` ${value}`, `${value}\n`, value.toUpperCase(), value.replace(/.$/, "B")]);
    case 4:
      return Buffer.from(mutateBytes(Buffer.from(value), new Uint8Array(), random, words)).toString();
    default:
      return Buffer.from(mutateBytes(Buffer.from(value, "base64"), new Uint8Array(), random, words)).toString("base64");
  }
}

function changeArray(value: unknown[], random: Random, vocabulary: Vocabulary): void {
  const at = random.below(value.length + 1);
  switch (random.below(5)) {
    case 0:
      value.splice(at, 1);
      return;
    case 1:
      value.splice(at, 0, value[random.below(value.length + 1)] ?? anyValue(random, vocabulary));
      return;
    case 2:
      while (value.length < 17 + random.below(16))
        value.push(mayRepeat(value[0], random) ? value[0] : random.pick(NUMBERS));
      return;
    case 3:
      value.reverse();
      return;
    default:
      value.push(random.pick(vocabulary.values));
  }
}

/** What is small, or now and then what is not. */
function mayRepeat(value: unknown, random: Random): boolean {
  return value !== undefined && (typeof value === "number" || random.oneIn(4));
}

function changeObject(value: Record<string, unknown>, random: Random, vocabulary: Vocabulary): void {
  const { names: known } = vocabulary;
  const names = Object.keys(value);
  const name = names.length === 0 ? "" : random.pick(names);
  switch (random.below(5)) {
    case 0:
      delete value[name];
      return;
    case 1: {
      const moved = value[name];
      delete value[name];
      set(value, random.oneIn(4) ? name.toLowerCase() : random.pick(known), moved);
      return;
    }
    case 2:
      set(value, random.pick(known), value[name]);
      return;
    case 3:
      set(value, "__proto__", anyValue(random, vocabulary));
      return;
    default:
      set(
        value,
        random.oneIn(16) ? random.pick(known).slice(0, 1).repeat(random.below(3_000)) : random.pick(known),
        anyValue(random, vocabulary),
      );
  }
}

function anyValue(random: Random, { values }: Vocabulary): unknown {
  switch (random.below(9)) {
    case 0:
      return null;
    case 1:
      return random.oneIn(2);
    case 2:
      return random.pick(NUMBERS);
    case 3:
      return values.length === MORE.length ? random.pick(TEXTS) : random.pick(values);
    case 4:
      return random.pick([[], {}, [[]], [{}]]);
    case 5:
      return JSON.parse('{"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}}}');
    case 6:
      return random.oneIn(64) ? JSON.parse("[".repeat(DEEP) + "]".repeat(DEEP)) : [random.u32()];
    case 7:
      return Buffer.from(random.bytes(random.below(80))).toString("base64");
    default:
      return Buffer.from(random.bytes(random.pick([20, 32, 48, 64]))).toString("hex");
  }
}

/** What a tree cannot say: members twice, escapes, space, numbers in other forms, bytes that are no UTF-8. */
function changeText(text: string, random: Random): string {
  switch (random.below(6)) {
    case 0:
      return text.replace(/\{("[^"]*":[^,{}[\]]*)/, "{$1,$1");
    case 1:
      return text.replace(/"([A-Z])/, (_, letter: string) => `"\\u00${letter.charCodeAt(0).toString(16)}`);
    case 2:
      return text.replace(/[,:]/g, (mark) => ` ${mark}\n\t`);
    case 3:
      return text.replace(/\b(\d+)\b/, "$1e0");
    case 4:
      return `\ufeff${text}`;
    default:
      return `${text}${random.pick([" ", "\n", "\u0000", "}", "x", text])}`;
  }
}
