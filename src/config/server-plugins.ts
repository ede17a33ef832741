/** The server's plugins. */
import { required } from "./keys.ts";
import { missingNodeAttestors } from "./node-attestors.ts";
import { type Plugin, type PluginType, type PluginTypes, plugin } from "./plugins.ts";
import type { DataStoreConfig, ServerKeyManagerConfig } from "./server-config.ts";
import { path, text } from "./values.ts";

const UNLIMITED = Number.POSITIVE_INFINITY;

const DATA_STORE: PluginType<DataStoreConfig> = {
  plugins: [
    plugin(
      "sql",
      {
        database_type: required(text("`sqlite3`"), "The kind of database."),
        connection_string: required(text("path"), "The database file: a path, or `file:` and a path."),
      },
      "Keeps entries, nodes and bundles in a database.",
      (data, report): DataStoreConfig | undefined => {
        const file = databaseFile(data.connection_string);
        if (data.database_type !== "sqlite3") {
          report("database_type", "must be sqlite3: no other database is implemented in this version");
        } else if (typeof file === "string") {
          return { name: "sql", databaseType: "sqlite3", path: file };
        } else {
          report("connection_string", file.problem);
        }
        return undefined;
      },
    ),
  ],
  notImplemented: [],
  least: 1,
  most: 1,
  example: 'DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "…" } }',
};

/** SPIRE's connection strings for SQLite are paths or `file:` URIs. Nothing that a URI adds to the path is dropped silently. */
function databaseFile(connection: string): string | { readonly problem: string } {
  if (/^file:/i.test(connection)) {
    const file = connection.slice("file:".length).replace(/^\/\/(?=\/)/, "");
    return /^$|^\/\/|[?#%]/.test(file)
      ? { problem: "after file: only a plain path is implemented in this version" }
      : file;
  }
  if (connection === ":memory:" || !/^[a-z][a-z0-9+.-]*:|[?#]/i.test(connection)) return connection;
  return { problem: "must be a path, or file: and a path" };
}

const KEY_MANAGER: PluginType<ServerKeyManagerConfig> = {
  plugins: [
    plugin(
      "disk",
      { keys_path: required(path(), "File that holds the keys, readable by its owner alone.") },
      "Keeps the CA's keys in a file.",
      ({ keys_path }) => ({ name: "disk", keysPath: keys_path }) as const,
    ),
    plugin(
      "memory",
      {},
      "Keeps the CA's keys in memory: each start makes a new CA.",
      () => ({ name: "memory" }) as const,
    ),
  ],
  notImplemented: ["aws_kms", "azure_key_vault", "gcp_kms", "hashicorp_vault"],
  least: 1,
  most: 1,
  example: 'KeyManager "disk" { plugin_data { keys_path = "…" } }',
};

function nodeAttestor<A>(plugins: readonly Plugin<A>[]): PluginType<A> {
  return {
    plugins,
    notImplemented: missingNodeAttestors(plugins),
    least: 0,
    most: UNLIMITED,
    example: 'NodeAttestor "join_token" { plugin_data {} }',
  };
}

const UPSTREAM_AUTHORITIES = [
  "aws_pca",
  "awssecret",
  "cert-manager",
  "disk",
  "ejbca",
  "gcp_cas",
  "spire",
  "vault",
] as const;

const BUNDLE_PUBLISHERS = [
  "aws_rolesanywhere_trustanchor",
  "aws_s3",
  "azure_blob",
  "gcp_cloudstorage",
  "k8s_configmap",
] as const;

function none(notImplemented: readonly string[]): PluginType<never> {
  return { plugins: [], notImplemented, least: 0, most: UNLIMITED, example: "" };
}

/** What may stand in the server's `plugins`. */
export interface ServerPlugins<A> extends PluginTypes {
  readonly DataStore: PluginType<DataStoreConfig>;
  readonly KeyManager: PluginType<ServerKeyManagerConfig>;
  readonly NodeAttestor: PluginType<A>;
}

/** The table, with the node attestors that the program has: each brings its own keys. */
export function serverPlugins<A>(nodeAttestors: readonly Plugin<A>[]): ServerPlugins<A> {
  return {
    DataStore: DATA_STORE,
    KeyManager: KEY_MANAGER,
    NodeAttestor: nodeAttestor(nodeAttestors),
    UpstreamAuthority: none(UPSTREAM_AUTHORITIES),
    BundlePublisher: none(BUNDLE_PUBLISHERS),
    CredentialComposer: none(["uniqueid"]),
    Notifier: none(["gcs_bundle", "k8sbundle"]),
  };
}
