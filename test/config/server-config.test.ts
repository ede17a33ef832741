import { describe, expect, test } from "vitest";
import type { Source } from "../../src/config/load.ts";
import { loadServerConfig, problemsOf, SERVER_FILE, withKeys } from "./sources.ts";

function load(text: string, more: Partial<Source> = {}) {
  return loadServerConfig({ text, fileName: "server.conf", ...more });
}

function problems(text: string, more: Partial<Source> = {}): readonly string[] {
  return problemsOf(() => load(text, more));
}

function loadWith(line: string) {
  return load(withKeys(SERVER_FILE, line));
}

/** Problems of a file whose line 4 is this. */
function problemsWith(line: string): readonly string[] {
  return problems(withKeys(SERVER_FILE, line));
}

const HOUR = 3_600_000;

describe("a valid file", () => {
  test("the shortest one has the defaults that keep an outage's budget", () => {
    expect(load(SERVER_FILE)).toEqual({
      warnings: [],
      config: {
        trustDomain: "example.org",
        dataDir: "/var/lib/server",
        bindAddress: "0.0.0.0",
        bindPort: 8081,
        socketPath: "/tmp/spire-server/private/api.sock",
        log: { level: "info", format: "text", sourceLocation: false },
        caTtlMs: 168 * HOUR,
        outageBudgetMs: 2 * HOUR,
        caKeyType: "ec-p256",
        jwtKeyType: "ec-p256",
        caSubject: { country: ["US"], organization: ["SPIFFE"], commonName: "" },
        defaultX509SvidTtlMs: 6 * HOUR,
        defaultJwtSvidTtlMs: 300_000,
        agentTtlMs: 24 * HOUR,
        disableJwtSvids: false,
        adminIds: [],
        auditLogEnabled: false,
        rateLimit: { attestation: true, signing: true },
        pruneTofuNodes: false,
        healthChecks: {
          listenerEnabled: false,
          bindAddress: "localhost",
          bindPort: 80,
          livePath: "/live",
          readyPath: "/ready",
        },
        telemetry: {},
        experimental: {
          cacheReloadIntervalMs: 5_000,
          pruneEventsOlderThanMs: 12 * HOUR,
          requirePqKem: false,
          agentSpiffeIdAsSelector: false,
        },
        plugins: {
          dataStore: { name: "sql", databaseType: "sqlite3", path: "/var/lib/server/db" },
          keyManager: { name: "memory" },
          nodeAttestors: [expect.objectContaining({ name: "join_token", options: {} })],
        },
      },
    });
  });

  test("every key is read", () => {
    const { config, warnings } = load(`
      server {
        trust_domain = "example.org" data_dir = "/d" bind_address = "[::]" bind_port = "443" socket_path = "/s.sock"
        log_level = "ERROR" log_format = "text" log_file = "/l" log_source_location = true
        ca_ttl = "720h" ca_key_type = "RSA-4096" jwt_key_type = "ec-p384"
        ca_subject { country = ["DE"] organization = ["A", "B"] common_name = "CA" }
        default_x509_svid_ttl = "1h" default_jwt_svid_ttl = "10m" agent_ttl = "48h"
        outage_budget = "25m" jwt_issuer = "https://issuer" disable_jwt_svids = true admin_ids = ["spiffe://example.org/admin"]
        audit_log_enabled = true ratelimit { attestation = false signing = false }
        prune_attested_nodes_expired_for = "72h" prune_tofu_nodes = true
        experimental { cache_reload_interval = "1s" prune_events_older_than = "1h" require_pq_kem = true
                       agent_spiffe_id_as_selector = true }
      }
      plugins {
        DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "file:/d/db" } }
        KeyManager "disk" { plugin_data { keys_path = "/d/keys" } }
      }`);
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      bindAddress: "::",
      bindPort: 443,
      socketPath: "/s.sock",
      log: { level: "error", format: "text", file: "/l", sourceLocation: true },
      caTtlMs: 720 * HOUR,
      caKeyType: "rsa-4096",
      jwtKeyType: "ec-p384",
      caSubject: { country: ["DE"], organization: ["A", "B"], commonName: "CA" },
      defaultX509SvidTtlMs: HOUR,
      defaultJwtSvidTtlMs: 600_000,
      agentTtlMs: 48 * HOUR,
      outageBudgetMs: 25 * 60_000,
      jwtIssuer: "https://issuer",
      disableJwtSvids: true,
      adminIds: ["spiffe://example.org/admin"],
      auditLogEnabled: true,
      rateLimit: { attestation: false, signing: false },
      pruneAttestedNodesExpiredForMs: 72 * HOUR,
      pruneTofuNodes: true,
      experimental: {
        cacheReloadIntervalMs: 1_000,
        pruneEventsOlderThanMs: HOUR,
        requirePqKem: true,
        agentSpiffeIdAsSelector: true,
      },
      plugins: {
        dataStore: { path: "/d/db" },
        keyManager: { name: "disk", keysPath: "/d/keys" },
        nodeAttestors: [],
      },
    });
  });

  test("the JWT key is of the CA key's type unless it has its own", () => {
    expect(loadWith('  ca_key_type = "rsa-2048"').config.jwtKeyType).toBe("rsa-2048");
    expect(loadWith('  jwt_key_type = "rsa-2048"').config).toMatchObject({
      caKeyType: "ec-p256",
      jwtKeyType: "rsa-2048",
    });
  });

  test("a subject without content is the default one; one with any is taken as it is", () => {
    expect(loadWith("  ca_subject { }").config.caSubject.organization).toEqual(["SPIFFE"]);
    expect(loadWith('  ca_subject { common_name = "x" }').config.caSubject).toEqual({
      country: [],
      organization: [],
      commonName: "x",
    });
  });

  test.each([
    ["./.data/db.sqlite3", "./.data/db.sqlite3"],
    ["file:db.sqlite3", "db.sqlite3"],
    ["file:./db.sqlite3", "./db.sqlite3"],
    ["file:///var/db", "/var/db"],
    [":memory:", ":memory:"],
  ])("database %s", (connection, path) => {
    expect(load(SERVER_FILE.replace("/var/lib/server/db", connection)).config.plugins.dataStore.path).toBe(path);
  });
});

/** As course material has it, older spelling, comments and layout included. */
const CLASSIC = `ca_subject {
  country      = ["US"]
  organization = ["Amazon Leo"]
  common_name  = ""
}
ca_ttl = "168h"          // intermediate CA cert lifetime
default_svid_ttl = "1h"  // leaf SVID lifetime`;

describe("the older name of default_x509_svid_ttl", () => {
  test("loads as written, with a warning", () => {
    const { config, warnings } = loadWith(CLASSIC);
    expect(config).toMatchObject({
      caSubject: { country: ["US"], organization: ["Amazon Leo"], commonName: "" },
      caTtlMs: 168 * HOUR,
      defaultX509SvidTtlMs: HOUR,
    });
    expect(warnings).toEqual([
      "server.conf:10:1: server.default_svid_ttl: deprecated: use default_x509_svid_ttl",
      "server.conf:10:20: server.default_svid_ttl: 1h does not cover outage_budget (2h): " +
        "as little as 27m is left when the server goes away; 4h27m covers it",
    ]);
  });

  test("is an error beside the new one", () => {
    expect(problemsWith('  default_x509_svid_ttl = "1h" default_svid_ttl = "1h"')).toEqual([
      "server.conf:4:51: server.default_svid_ttl: is the older name of default_x509_svid_ttl, which is set as well; remove it",
    ]);
  });
});

test("an upstream authority as course material has it is refused by name, not by syntax", () => {
  const text = `${SERVER_FILE}plugins {
UpstreamAuthority "aws_pca" {
  plugin_data {
    region                = "us-east-1"
    certificate_authority_arn = "arn:aws:acm-pca:..."
    signing_algorithm     = "SHA384WITHRSA"
    ca_signing_template_arn = "arn:aws:acm-pca:...:template/..."
  }
}
}`;
  expect(problems(text)).toEqual([
    "server.conf:11:19: plugins.UpstreamAuthority.aws_pca: not implemented in this version; it has no plugins of this type",
  ]);
});

describe("SVIDs that would outlive their CA", () => {
  const warningsOf = (line: string) => loadWith(line).warnings.map((warning) => warning.replace("server.conf:", ""));

  test("TTLs of a sixth of ca_ttl fit", () => {
    expect(warningsOf('  ca_ttl = "144h" agent_ttl = "24h" default_x509_svid_ttl = "24h"')).toEqual([]);
  });

  test("a TTL above it is named with the numbers", () => {
    expect(warningsOf('  default_x509_svid_ttl = "48h"')).toEqual([
      "4:27: server.default_x509_svid_ttl: 48h is more than 28h, the lesser of a sixth of ca_ttl (168h) and 168h; " +
        "SVIDs may end earlier: set it to 28h or less, or ca_ttl to 288h or more",
    ]);
  });

  test("above seven days no CA lives long enough", () => {
    expect(warningsOf('  ca_ttl = "8760h" agent_ttl = "169h"')).toEqual([
      "4:32: server.agent_ttl: 169h is more than 168h, the lesser of a sixth of ca_ttl (8760h) and 168h; " +
        "SVIDs may end earlier: set it to 168h or less",
    ]);
  });

  test("defaults are checked as well", () => {
    expect(warningsOf('  ca_ttl = "24h"').map((line) => line.split(" is more")[0])).toEqual([
      "1:1: server.default_x509_svid_ttl: 6h",
      "1:1: server.agent_ttl: 24h",
    ]);
  });
});

describe("JWT-SVIDs for the time without a server", () => {
  const read = (line: string) => {
    const { config, warnings } = loadWith(line);
    return { reserve: config?.jwtReserve, warnings: warnings.map((warning) => warning.replace("server.conf:", "")) };
  };

  test("are off unless they are turned on, and live 1.25 times the budget", () => {
    const lifeMs = 2.5 * HOUR;
    expect(read("")).toEqual({ reserve: undefined, warnings: [] });
    expect(read("  jwt_reserve { max_audiences = 3 }")).toEqual({ reserve: undefined, warnings: [] });
    expect(read("  jwt_reserve { enabled = true }")).toEqual({ reserve: { maxAudiences: 8, lifeMs }, warnings: [] });
    expect(read('  outage_budget = "1h" jwt_reserve { enabled = true max_audiences = 64 }').reserve).toEqual({
      maxAudiences: 64,
      lifeMs: 1.25 * HOUR,
    });
  });

  test.each([
    ['outage_budget = "0" jwt_reserve { enabled = true }', "has no effect without outage_budget"],
    ["disable_jwt_svids = true jwt_reserve { enabled = true }", "has no effect with disable_jwt_svids"],
  ])("%s does nothing, and says so", (line, told) => {
    const { reserve, warnings } = read(`  ${line}`);
    expect(reserve).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(`server.jwt_reserve: ${told}`)]);
  });

  test("of more life than the signing key leaves are warned of", () => {
    const { warnings } = read('  outage_budget = "24h" jwt_reserve { enabled = true }');
    expect(warnings).toContainEqual(
      expect.stringContaining("tokens of 30h, 1.25 times outage_budget, may end earlier"),
    );
  });

  test.each(["0", "65", '"many"'])("max_audiences = %s is refused", (value) => {
    expect(() => read(`  jwt_reserve { max_audiences = ${value} }`)).toThrow("must be a whole number from 1 to 64");
  });
});

describe("SVIDs that are too short for an outage", () => {
  const warningsOf = (line: string) => loadWith(line).warnings.map((warning) => warning.replace("server.conf:", ""));

  test("each TTL is named with one that would do", () => {
    expect(warningsOf('  default_x509_svid_ttl = "4h27m" agent_ttl = "4h26m"')).toEqual([
      "4:47: server.agent_ttl: 4h26m does not cover outage_budget (2h): " +
        "as little as 1h59m42s is left when the server goes away; 4h27m covers it",
    ]);
  });

  test("0 is off", () => {
    expect(warningsOf('  outage_budget = "0" default_x509_svid_ttl = "1m" agent_ttl = "1h"')).toEqual([]);
  });
});

test("the command line wins over the file", () => {
  const { config } = load(SERVER_FILE, { flags: { bind_port: "8443", trust_domain: "other.org" } });
  expect(config).toMatchObject({ bindPort: 8443, trustDomain: "other.org" });
});

describe("WIT-SVIDs", () => {
  const experimental = (text: string) => loadWith(`experimental { ${text} }`);

  test("are for those who switch them on", () => {
    expect(load(SERVER_FILE).config.experimental).not.toHaveProperty("witKeyType");
    const { config, warnings } = experimental('feature_flags = ["wit-svid"] wit_issuer = "https://issuer"');
    expect(config.experimental).toMatchObject({ witKeyType: "ec-p256", witIssuer: "https://issuer" });
    expect(warnings).toEqual([]);
    expect(experimental('feature_flags = ["wit-svid"] wit_key_type = "rsa-2048"').config.experimental.witKeyType).toBe(
      "rsa-2048",
    );
  });

  test("have keys that do nothing without", () => {
    const { config, warnings } = experimental('wit_key_type = "ec-p384"');
    expect(config.experimental).not.toHaveProperty("witKeyType");
    expect(warnings.join()).toContain("wit_key_type");
    expect(problemsWith('experimental { feature_flags = ["other"] }').join()).toContain("must be one of wit-svid");
  });
});
