import { describe, expect, test } from "vitest";
import { AGENT_FILE, loadAgentConfig, withKeys } from "./sources.ts";

function load(text: string) {
  return loadAgentConfig({ text, fileName: "agent.conf" });
}

function loadWith(line: string) {
  return load(withKeys(AGENT_FILE, line));
}

describe("a valid file", () => {
  test("the shortest one has SPIRE's defaults", () => {
    expect(load(AGENT_FILE)).toEqual({
      warnings: [],
      config: {
        trustDomain: "example.org",
        serverAddress: "server.example.org",
        serverPort: 8081,
        dataDir: ".",
        socketPath: "/tmp/spire-agent/public/api.sock",
        disableWorkloadApi: false,
        disableSdsApi: false,
        log: { level: "info", format: "text", sourceLocation: false },
        logSelectors: [],
        bootstrap: { kind: "file", path: "/etc/bundle.pem", format: "pem" },
        workloadKeyType: "ec-p256",
        outageBudgetMs: 7_200_000,
        storage: { protection: "auto", pcrs: [7] },
        allowUnauthenticatedVerifiers: false,
        allowedForeignJwtClaims: [],
        jwtSvidCacheMaxSize: 1_000,
        authorizedDelegates: [],
        sds: {
          defaultSvidName: "default",
          defaultBundleName: "ROOTCA",
          defaultAllBundlesName: "ALL",
          disableSpiffeCertValidation: false,
        },
        healthChecks: {
          listenerEnabled: false,
          bindAddress: "localhost",
          bindPort: 80,
          livePath: "/live",
          readyPath: "/ready",
        },
        telemetry: {},
        experimental: {
          syncIntervalMs: 5_000,
          requirePqKem: false,
          useSyncAuthorizedEntries: true,
          maxConnections: 10_000,
          maxConnectionsPerUid: undefined,
          rateLimits: {},
        },
        plugins: {
          nodeAttestor: expect.objectContaining({ name: "join_token", options: {} }),
          keyManager: { name: "disk", directory: "/var/lib/keys" },
          workloadAttestors: [
            { name: "unix", discoverWorkloadPath: false, workloadSizeLimit: 0, allowOtherMountNamespaces: false },
          ],
        },
      },
    });
  });

  test("every key is read", () => {
    const { config } = load(`
      agent {
        trust_domain = "spiffe://example.org" server_address = "[::1]" server_port = "443" data_dir = "/d"
        socket_path = "/run/a/api.sock" admin_socket_path = "/run/b/admin.sock" disable_workload_api = true
        disable_sds_api = true
        log_level = "WARNING" log_format = "JSON" log_file = "/l" log_source_location = true
        log_selectors = ["unix:user", "k8s:ns"]
        trust_bundle_url = "http://bundle/x" trust_bundle_unix_socket = "/b.sock" trust_bundle_format = "spiffe"
        join_token_file = "/t" workload_x509_svid_key_type = "rsa-2048" availability_target = "24h"
        outage_budget = "0" storage = "TPM" storage_pcrs = ["7", "0", "7"] storage_tcti = "device:/dev/tpm1"
        jwt_svid_cache_max_size = 7 allowed_foreign_jwt_claims = ["role"]
        allow_unauthenticated_verifiers = true authorized_delegates = ["spiffe://example.org/d"]
        sds { default_svid_name = "s" default_bundle_name = "b" default_all_bundles_name = "a"
              disable_spiffe_cert_validation = true }
        experimental { sync_interval = "1m30s" require_pq_kem = true use_sync_authorized_entries = false
                       max_connections = 11 max_connections_per_uid = 11 ratelimit { fetch_x509_svid = 0
                       fetch_jwt_svid = 1 fetch_x509_bundles = 2 fetch_jwt_bundles = 3 stream_secrets = 4 } }
      }
      health_checks { listener_enabled = true bind_address = "[::]" bind_port = "8080" live_path = "/l" ready_path = "/r" }
      telemetry { Prometheus { host = "[::1]" port = 9988 } }
      plugins {
        NodeAttestor "join_token" {}
        KeyManager "memory" {}
        WorkloadAttestor "unix" { plugin_data { discover_workload_path = true workload_size_limit = -1
                                                allow_other_mount_namespaces = true } }
      }`);
    expect(config).toEqual({
      trustDomain: "example.org",
      serverAddress: "::1",
      serverPort: 443,
      dataDir: "/d",
      socketPath: "/run/a/api.sock",
      adminSocketPath: "/run/b/admin.sock",
      disableWorkloadApi: true,
      disableSdsApi: true,
      log: { level: "warn", format: "json", file: "/l", sourceLocation: true },
      logSelectors: ["unix:user", "k8s:ns"],
      bootstrap: { kind: "url", url: "http://bundle/x", unixSocket: "/b.sock", format: "spiffe" },
      joinToken: { kind: "file", path: "/t" },
      workloadKeyType: "rsa-2048",
      availabilityTargetMs: 86_400_000,
      outageBudgetMs: 0,
      storage: { protection: "tpm", pcrs: [0, 7], tcti: "device:/dev/tpm1" },
      allowUnauthenticatedVerifiers: true,
      allowedForeignJwtClaims: ["role"],
      jwtSvidCacheMaxSize: 7,
      authorizedDelegates: ["spiffe://example.org/d"],
      sds: {
        defaultSvidName: "s",
        defaultBundleName: "b",
        defaultAllBundlesName: "a",
        disableSpiffeCertValidation: true,
      },
      healthChecks: { listenerEnabled: true, bindAddress: "::", bindPort: 8080, livePath: "/l", readyPath: "/r" },
      telemetry: { prometheus: { host: "::1", port: 9988 } },
      experimental: {
        syncIntervalMs: 90_000,
        requirePqKem: true,
        useSyncAuthorizedEntries: false,
        maxConnections: 11,
        maxConnectionsPerUid: 11,
        rateLimits: {
          FetchJWTSVID: 1,
          FetchX509Bundles: 2,
          FetchJWTBundles: 3,
          // A stream of either kind costs the same, and Envoy's configuration says which it opens.
          StreamSecrets: 4,
          DeltaSecrets: 4,
        },
      },
      plugins: {
        nodeAttestor: expect.objectContaining({ name: "join_token", options: {} }),
        keyManager: { name: "memory" },
        workloadAttestors: [
          { name: "unix", discoverWorkloadPath: true, workloadSizeLimit: -1, allowOtherMountNamespaces: true },
        ],
      },
    });
  });

  test("JSON as the Helm chart writes it", () => {
    const { config } = load(
      JSON.stringify({
        agent: {
          trust_domain: "example.org",
          server_address: "spire-server",
          server_port: 443,
          insecure_bootstrap: true,
          trust_bundle_path: null,
          sds: { default_svid_name: "x" },
        },
        health_checks: { listener_enabled: true, bind_address: "0.0.0.0", bind_port: "9982" },
        telemetry: [{ Prometheus: [{ host: "0.0.0.0", port: 9988 }] }],
        plugins: {
          NodeAttestor: [{ join_token: { plugin_data: {} } }],
          KeyManager: [{ memory: { plugin_data: null } }],
          WorkloadAttestor: [
            { k8s: { enabled: false, plugin_data: { any: "thing" } } },
            { unix: { plugin_data: [{}] } },
          ],
        },
      }),
    );
    expect(config.bootstrap).toEqual({ kind: "insecure" });
    expect(config.healthChecks.bindPort).toBe(9982);
    expect(config.telemetry).toEqual({ prometheus: { host: "0.0.0.0", port: 9988 } });
    expect(config.sds.defaultSvidName).toBe("x");
    expect(config.plugins.keyManager).toEqual({ name: "memory" });
    expect(config.plugins.workloadAttestors.map(({ name }) => name)).toEqual(["unix"]);
  });

  test("JSON with plugins as plain objects", () => {
    const { config } = load(
      JSON.stringify({
        agent: { trust_domain: "example.org", server_address: "s", server_port: 1, trust_bundle_path: "b" },
        plugins: {
          NodeAttestor: { join_token: { plugin_data: {} } },
          KeyManager: { disk: { plugin_data: { directory: "k" } } },
          WorkloadAttestor: { unix: { plugin_data: { discover_workload_path: true } } },
        },
      }),
    );
    expect(config.plugins.workloadAttestors[0]?.discoverWorkloadPath).toBe(true);
  });

  test("it is frozen at every depth", () => {
    const { config } = load(AGENT_FILE);
    const isFrozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(config)).toBe(true);
  });

  test("an empty text is as good as no key, as in SPIRE", () => {
    const { config } = loadWith('  join_token = "" log_file = "" trust_bundle_url = "" data_dir = ""');
    expect(config.joinToken).toBeUndefined();
    expect(config.log.file).toBeUndefined();
    expect(config.dataDir).toBe(".");
  });

  test("keys match in another case, and a number may stand for a text, as in HCL 1", () => {
    const { config } = loadWith("  Join_Token = 0123");
    expect(config.joinToken).toEqual({ kind: "token", token: "0123" });
  });

  test("a block given twice is read as one", () => {
    const { config } = load(
      `${AGENT_FILE}\nagent { data_dir = "/d" }\ntelemetry {}\ntelemetry { Prometheus { port = 1 } }`,
    );
    expect(config.dataDir).toBe("/d");
    expect(config.telemetry.prometheus?.port).toBe(1);
  });
});
