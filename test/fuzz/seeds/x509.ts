/** Certificates and requests, written here a second time, with keys that the tests hold. */
import { der } from "../../../scripts/fuzz/tree-der.ts";
import { ecKey, rsaKey, type SigningKey } from "./keys.ts";

/** The moment at which the seeds are valid: 2026-11-27T00:00:00Z. */
export const NOW = 1_795_737_600_000;
export const TRUST_DOMAIN = "example.org";
export const WORKLOAD_ID = `spiffe://${TRUST_DOMAIN}/workload`;

/** Keys of certificates: authority, intermediate, leaf, one of another curve, and RSA. */
export const X509_KEYS = {
  root: ecKey("P-256", "x509 root"),
  intermediate: ecKey("P-256", "x509 intermediate"),
  leaf: ecKey("P-256", "x509 leaf"),
  p384: ecKey("P-384", "x509 p384"),
  rsa: rsaKey(),
};

const SEQUENCE = 0x30;
const SET = 0x31;
const OIDS = {
  commonName: "550403",
  country: "550406",
  organization: "55040a",
  organizationalUnit: "55040b",
  email: "2a864886f70d010901",
  subjectKeyId: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  nameConstraints: "551d1e",
  policies: "551d20",
  authorityKeyId: "551d23",
  policyConstraints: "551d24",
  extKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
  extensionRequest: "2a864886f70d01090e",
  ecdsaSha256: "2a8648ce3d040302",
  ecdsaSha384: "2a8648ce3d040303",
  rsaSha256: "2a864886f70d01010b",
} as const;

type OidName = keyof typeof OIDS;

/** What a certificate says. */
export interface Said {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly key: SigningKey;
  readonly extensions: readonly Uint8Array[];
  readonly serial?: Uint8Array;
  /** Default: 2026-01-01 to 2027-01-01. */
  readonly validity?: Uint8Array;
}

const oid = (name: OidName): Buffer => der(0x06, Buffer.from(OIDS[name], "hex"));
const text = (value: string): Buffer => der(/^[A-Za-z0-9 ]*$/.test(value) ? 0x13 : 0x0c, Buffer.from(value));
const integer = (bytes: Uint8Array): Buffer => {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const short = bytes.subarray(at);
  return der(0x02, (short[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), short]) : short);
};
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.of(0), bytes);
const utc = (value: string): Buffer => der(0x17, Buffer.from(value));

/** A name of one attribute in each relative name. */
export function name(...attributes: readonly (readonly [OidName, string])[]): Buffer {
  return der(SEQUENCE, ...attributes.map(([type, value]) => der(SET, der(SEQUENCE, oid(type), text(value)))));
}

/** An extension. */
export function extension(type: OidName, value: Uint8Array, critical = false): Buffer {
  return der(SEQUENCE, oid(type), ...(critical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value));
}

/** SubjectPublicKeyInfo, as OpenSSL writes it. */
export function spkiOf(key: SigningKey): Buffer {
  return key.publicKey.export({ type: "spki", format: "der" });
}

/** Signed bytes with algorithm and signature, as certificates and requests have them. */
export function signed(tbs: Uint8Array, key: SigningKey): Buffer {
  return der(SEQUENCE, tbs, algorithmOf(key), bits(signatureOf(tbs, key)));
}

/** The signed part of a certificate. */
export function toBeSigned({ subject, issuer, key, extensions, serial, validity }: Said, signer: SigningKey): Buffer {
  return der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.of(2))),
    integer(serial ?? Buffer.of(0x51, 0x22)),
    algorithmOf(signer),
    issuer,
    validity ?? der(SEQUENCE, utc("260101000000Z"), utc("270101000000Z")),
    subject,
    spkiOf(key),
    ...(extensions.length === 0 ? [] : [der(0xa3, der(SEQUENCE, ...extensions))]),
  );
}

/** Signs the first element of a certificate or request anew, whatever follows it. */
export function signAnew(bytes: Uint8Array, key: SigningKey): Uint8Array {
  const inside = elementAt(bytes, 0)?.content;
  const tbs = inside === undefined ? undefined : elementAt(inside, 0)?.der;
  return tbs === undefined ? bytes : signed(tbs, key);
}

const DNS = (value: string): Buffer => der(0x82, Buffer.from(value));
const URI = (value: string): Buffer => der(0x86, Buffer.from(value));
const EMAIL = (value: string): Buffer => der(0x81, Buffer.from(value));
const IP = (...bytes: readonly number[]): Buffer => der(0x87, Buffer.from(bytes));
const DIRECTORY = (value: Uint8Array): Buffer => der(0xa4, value);
const KEY_ID = Buffer.alloc(20, 7);

const leafUsage = extension("keyUsage", der(0x03, Buffer.of(3, 0xa8)), true);
const bothAuth = extension("extKeyUsage", der(SEQUENCE, oid("serverAuth"), oid("clientAuth")));
const noCa = extension("basicConstraints", der(SEQUENCE), true);
const caUsage = extension("keyUsage", der(0x03, Buffer.of(1, 0x06)), true);
const san = (...names: readonly Uint8Array[]): Buffer => extension("subjectAltName", der(SEQUENCE, ...names));
const ca = (pathLen?: number): Buffer =>
  extension(
    "basicConstraints",
    der(SEQUENCE, der(0x01, Buffer.of(0xff)), ...(pathLen === undefined ? [] : [der(0x02, Buffer.of(pathLen))])),
    true,
  );
const subtree = (value: Uint8Array): Buffer => der(SEQUENCE, value);
const constraints = extension(
  "nameConstraints",
  der(
    SEQUENCE,
    der(0xa0, ...[URI(TRUST_DOMAIN), DNS("example.org"), IP(10, 0, 0, 0, 255, 0, 0, 0)].map(subtree)),
    der(0xa1, ...[DNS("bad.example.org"), EMAIL("x@bad.test"), DIRECTORY(name(["country", "XX"]))].map(subtree)),
  ),
  true,
);

export const ROOT_NAME = name(["country", "US"], ["organization", "SPIFFE"], ["commonName", "root"]);
export const INTERMEDIATE_NAME = name(["organization", "SPIFFE"], ["commonName", "below"]);
export const LEAF_NAME = name(["country", "US"], ["organization", "SPIRE"], ["commonName", "a.example.org"]);

const { root, intermediate, leaf, p384, rsa } = X509_KEYS;
const rootSaid: Said = {
  subject: ROOT_NAME,
  issuer: ROOT_NAME,
  key: root,
  extensions: [caUsage, ca(), san(URI(`spiffe://${TRUST_DOMAIN}`)), extension("subjectKeyId", der(0x04, KEY_ID))],
};
const intermediateSaid: Said = {
  subject: INTERMEDIATE_NAME,
  issuer: ROOT_NAME,
  key: intermediate,
  extensions: [caUsage, ca(1), constraints, extension("authorityKeyId", der(SEQUENCE, der(0x80, KEY_ID)))],
};
const leafExtensions = [leafUsage, bothAuth, noCa, san(DNS("a.example.org"), URI(WORKLOAD_ID))];
const leafSaid: Said = {
  subject: LEAF_NAME,
  issuer: INTERMEDIATE_NAME,
  key: leaf,
  extensions: leafExtensions,
  serial: Buffer.concat([Buffer.of(0), Buffer.alloc(19, 0xab)]),
};

/** The authority. */
export const ROOT = signed(toBeSigned(rootSaid, root), root);
/** A CA below it, with name constraints. */
export const INTERMEDIATE = signed(toBeSigned(intermediateSaid, root), root);
/** An X509-SVID below that. */
export const LEAF = signed(toBeSigned(leafSaid, intermediate), intermediate);
/** An X509-SVID below the authority itself. */
export const DIRECT_LEAF = signed(
  toBeSigned({ ...leafSaid, issuer: ROOT_NAME, extensions: [leafUsage, noCa, san(URI(WORKLOAD_ID))] }, root),
  root,
);

/** All kinds of certificates that there are readers for. */
export const CERTIFICATES: readonly Uint8Array[] = [
  ROOT,
  INTERMEDIATE,
  LEAF,
  DIRECT_LEAF,
  signed(toBeSigned({ ...leafSaid, key: p384, extensions: leafExtensions.slice(0, 2) }, p384), p384),
  signed(
    toBeSigned(
      {
        ...leafSaid,
        subject: name(["commonName", "ä"], ["email", "a@b"], ["organizationalUnit", 'x, "y"']),
        validity: der(SEQUENCE, utc("500101000000Z"), der(0x18, Buffer.from("20600229235959Z"))),
        extensions: [
          san(EMAIL("a@example.org"), IP(10, 1, 2, 3), DIRECTORY(ROOT_NAME), der(0x88, Buffer.of(0x2a, 3))),
          extension("policies", der(SEQUENCE, der(SEQUENCE, der(0x06, Buffer.of(0x2a, 3, 4))))),
          extension("policyConstraints", der(SEQUENCE, der(0x80, Buffer.of(0)))),
        ],
      },
      intermediate,
    ),
    intermediate,
  ),
  signed(toBeSigned({ ...leafSaid, key: rsa, extensions: [] }, rsa), rsa),
];

/** Certificate requests: with names, without, with another attribute, and of RSA. */
export const REQUESTS: readonly Uint8Array[] = [
  request(leaf, LEAF_NAME, [san(URI(WORKLOAD_ID), DNS("a.example.org"))]),
  request(leaf, LEAF_NAME, []),
  request(p384, der(SEQUENCE), [san(URI(WORKLOAD_ID)), leafUsage, bothAuth]),
  request(
    rsa,
    ROOT_NAME,
    [san(DNS("b.example.org"))],
    [der(SEQUENCE, der(0x06, Buffer.from("2a864886f70d010907", "hex")), der(SET, text("secret")))],
  ),
];

/** Public keys of each kind that is accepted. */
export const SPKIS: readonly Uint8Array[] = [
  ...[leaf, p384, rsa].map(spkiOf),
  // A point of P-521: the generator.
  Buffer.from(
    "30819b301006072a8648ce3d020106052b81040023038186000400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b" +
      "4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449" +
      "579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
    "hex",
  ),
];

function request(
  key: SigningKey,
  subject: Uint8Array,
  extensions: readonly Uint8Array[],
  others: readonly Uint8Array[] = [],
): Buffer {
  const wanted =
    extensions.length === 0 ? [] : [der(SEQUENCE, oid("extensionRequest"), der(SET, der(SEQUENCE, ...extensions)))];
  const info = der(SEQUENCE, der(0x02, Buffer.of(0)), subject, spkiOf(key), der(0xa0, ...others, ...wanted));
  return signed(info, key);
}

function algorithmOf({ kind, hash }: SigningKey): Buffer {
  if (kind === "rsassa") return der(SEQUENCE, oid("rsaSha256"), der(0x05));
  return der(SEQUENCE, oid(hash === "sha256" ? "ecdsaSha256" : "ecdsaSha384"));
}

function signatureOf(tbs: Uint8Array, key: SigningKey): Uint8Array {
  const [first = new Uint8Array(), second = new Uint8Array()] = key.sign(tbs);
  return key.kind === "rsassa" ? first : der(SEQUENCE, integer(first), integer(second));
}

/** One element, read without judging it. */
export function elementAt(
  bytes: Uint8Array,
  at: number,
): { readonly tag: number; readonly content: Uint8Array; readonly der: Uint8Array } | undefined {
  let length = bytes[at + 1];
  if (length === undefined) return undefined;
  let from = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    length = 0;
    for (let i = 0; i < count && i < 4; i++) length = length * 256 + (bytes[from + i] ?? 0);
    from += count;
  }
  if (from + length > bytes.length) return undefined;
  return { tag: bytes[at] ?? 0, content: bytes.subarray(from, from + length), der: bytes.subarray(at, from + length) };
}

/** The elements inside of an element, as far as there are any. */
export function elementsIn(bytes: Uint8Array): NonNullable<ReturnType<typeof elementAt>>[] {
  const found: NonNullable<ReturnType<typeof elementAt>>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = elementAt(bytes, at);
    if (element === undefined) return found;
    found.push(element);
    at += element.der.length;
  }
  return found;
}
