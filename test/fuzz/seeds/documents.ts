/** Texts that operators, servers and the agent itself wrote: bundles, configuration, stored data. */
import { createHash } from "node:crypto";
import type { SigningKey } from "./keys.ts";
import { OWN_BUNDLE, PRIVATE_KEY } from "./world.ts";
import { DIRECT_LEAF, elementAt, elementsIn, INTERMEDIATE, ROOT, SPKIS, TRUST_DOMAIN, X509_KEYS } from "./x509.ts";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const text = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** The members of a JWK. */
function jwkOf(key: SigningKey): object {
  if (key.kind === "rsassa") return { kty: "RSA", n: base64url(key.n), e: "AQAB" };
  return { kty: "EC", crv: key.x.length === 32 ? "P-256" : "P-384", x: base64url(key.x), y: base64url(key.y) };
}

const { root, intermediate, leaf, p384, rsa } = X509_KEYS;
const x509 = (key: SigningKey, certificate: Uint8Array): object => ({
  use: "x509-svid",
  ...jwkOf(key),
  x5c: [base64(certificate)],
});
const pem = (certificate: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${base64(certificate).replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;

/** SPIFFE bundle documents, then PEM. */
export const BUNDLE_TEXTS: readonly Uint8Array[] = [
  text({
    keys: [x509(root, ROOT), { use: "jwt-svid", kid: "a", ...jwkOf(leaf) }],
    spiffe_sequence: 12,
    spiffe_refresh_hint: 60,
  }),
  text({
    keys: [
      x509(intermediate, INTERMEDIATE),
      { use: "wit-svid", kid: "w", ...jwkOf(leaf) },
      { use: "jwt-svid", kid: "b", ...jwkOf(p384), alg: "ES384" },
      { use: "tomorrow", kty: "EC" },
      { use: "jwt-svid", kty: "OKP", crv: "Ed25519", x: "AA", kid: "e" },
    ],
  }),
  text({ keys: [{ use: "jwt-svid", kid: "r", ...jwkOf(rsa) }], spiffe_sequence: 0 }),
  text({ keys: [] }),
  Buffer.from(pem(ROOT)),
  Buffer.from(`# two\n${pem(INTERMEDIATE)}${pem(ROOT)}`),
];

/** Configuration, HCL and JSON. */
export const CONFIG_TEXTS: readonly Uint8Array[] = [
  `agent {
    data_dir = "/var/lib/holdfast" # where
    log_level = "INFO", trust_domain = "example.org"
    server_port = 8081
    sds = { default_svid_name = "default" }
    authorized_delegates = ["spiffe://example.org/a", "spiffe://example.org/b",]
  }
  plugins { NodeAttestor "join_token" { plugin_data {} } /* a comment */
    WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }
  }
  // numbers
  x = [1, -2.5, 0x1f, 017, 1e3]`,
  'a = <<EOF\nline\nEOF\nb = <<-END\n    x\n    END\n"quoted key" = "es\\"c\\n\\u00e9\\x41 ${var}"\n',
  text({ agent: { data_dir: "/d", numbers: [0, -1.5, 1e9], nested: { a: [true, false, null, "é\n"] } } }),
  text({ server: { ca_ttl: "24h" }, plugins: { DataStore: [{ sql: { plugin_data: { database_type: "sqlite3" } } }] } }),
].map((one) => Buffer.from(one));

const key = (id: string, spki: Uint8Array): object => ({
  key_id: id,
  public_key: base64(spki),
  expires_at: 5,
  tainted: true,
});
const bundle = {
  x509_authorities: OWN_BUNDLE.x509Authorities.map(({ certificate }) => ({
    certificate: base64(certificate),
    tainted: false,
  })),
  jwt_authorities: [key("a", SPKIS[0] ?? new Uint8Array())],
  wit_authorities: [],
  refresh_hint: 60,
  sequence: "7",
};

/** The inside of `agent-data.json`; a stored SVID must be an agent's, which none of these is. */
export const AGENT_DATA: readonly Uint8Array[] = [
  { trust_domain: TRUST_DOMAIN, last_good_time: 1, svid: null, bundle },
  { trust_domain: TRUST_DOMAIN, last_good_time: 0, svid: null, bundle: null },
].map(text);

/** One that is refused for its SVID alone. */
export const FOREIGN_SVID = text({
  trust_domain: TRUST_DOMAIN,
  last_good_time: 1,
  svid: {
    chain: [base64(DIRECT_LEAF)],
    private_key: base64(PRIVATE_KEY.export({ type: "pkcs8", format: "der" })),
    reattestable: true,
  },
  bundle,
});

/** The file around it, with its checksum. */
export function agentFile(data: Uint8Array, version: number): string {
  const inside = Buffer.from(data).toString();
  const canonical = JSON.stringify(parsed(inside));
  const sha256 = createHash("sha256")
    .update(canonical ?? "")
    .digest("hex");
  return `{"version":${version},"sha256":"${sha256}","data":${inside}}`;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The public key in a certificate: the seventh element of what is signed. */
export function keyIn(certificate: Uint8Array): Uint8Array | undefined {
  const tbs = elementAt(elementAt(certificate, 0)?.content ?? new Uint8Array(), 0);
  return elementsIn(tbs?.content ?? new Uint8Array())[6]?.der;
}
