/** Which tables of the wire-fact documents describe which package, and how names written there resolve. */

import { type FileRegistry, ScalarType } from "@bufbuild/protobuf";

/** One package, or Envoy's several, and the tables which describe it. */
export interface Area {
  readonly document: "workload-api.md" | "server-api.md";
  readonly section: number;
  /** Where unqualified names live; then the other packages described in the same tables. */
  readonly packages: readonly [string, ...string[]];
  /** Full name of the service of the section. */
  readonly service?: string;
  /** Of the section's tables, those of this package; all when left out. */
  readonly tables?: readonly number[];
  /** The tables may leave types out. */
  readonly typesLeftOut?: true;
}

const envoyTls = "envoy.extensions.transport_sockets.tls.v3";

const server = (name: string, service: string, section: number, tables?: readonly number[]): Area => ({
  document: "server-api.md",
  section,
  packages: [`spire.api.server.${name}.v1`],
  service: `spire.api.server.${name}.v1.${service}`,
  ...(tables && { tables }),
});

const agent = (fullPackage: string, service: string, section: number): Area => ({
  document: "workload-api.md",
  section,
  packages: [fullPackage],
  service: `${fullPackage}.${service}`,
});

export const areas: readonly Area[] = [
  { document: "workload-api.md", section: 2, packages: [""], service: "SpiffeWorkloadAPI" },
  {
    document: "workload-api.md",
    section: 3,
    packages: [
      "envoy.service.discovery.v3",
      "envoy.config.core.v3",
      envoyTls,
      "envoy.type.v3",
      "envoy.service.secret.v3",
    ],
    service: "envoy.service.secret.v3.SecretDiscoveryService",
    typesLeftOut: true,
  },
  agent("spire.agent.debug.v1", "Debug", 5),
  agent("spire.api.agent.logger.v1", "Logger", 6),
  agent("spire.api.agent.delegatedidentity.v1", "DelegatedIdentity", 7),
  { document: "server-api.md", section: 3, packages: ["spire.api.types"] },
  server("agent", "Agent", 4),
  server("svid", "SVID", 5),
  server("entry", "Entry", 6),
  server("bundle", "Bundle", 7),
  server("trustdomain", "TrustDomain", 8),
  server("localauthority", "LocalAuthority", 9),
  server("debug", "Debug", 10, [0, 1]),
  server("logger", "Logger", 10, [2, 3]),
];

const prefixes: readonly (readonly [short: string, full: string])[] = [
  ["gp.", "google.protobuf."],
  ["types.", "spire.api.types."],
  ["config.core.v3.", "envoy.config.core.v3."],
  ["core.v3.", "envoy.config.core.v3."],
  ["tls.v3.", `${envoyTls}.`],
];

const scalars = new Set(
  Object.values(ScalarType)
    .filter((name) => typeof name === "string")
    .map((name) => name.toLowerCase()),
);

/** Resolver of message and enum names as an area's tables write them, seen from inside message `scope`. */
export function nameResolver(registry: FileRegistry, area: Area): (written: string, scope?: string) => string {
  return (written, scope) => {
    if (scalars.has(written) || written.startsWith("map<")) {
      return written;
    }
    for (const [short, full] of prefixes) {
      if (written.startsWith(short)) {
        return `${full}${written.slice(short.length)}`;
      }
    }
    const near = [...(scope === undefined ? [] : [scope]), ...area.packages];
    const candidates = near.map((name) => (name === "" ? written : `${name}.${written}`));
    const all = written.includes(".") ? [...candidates, written] : candidates;
    const found = all.find((name) => registry.getMessage(name) ?? registry.getEnum(name));
    if (found === undefined) {
      throw new Error(`${written} is not defined`);
    }
    return found;
  };
}
