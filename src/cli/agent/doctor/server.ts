/** Check `server`: whether the agent can reach its server and would believe it; if not, the usual cause. */
import type { AgentConfig } from "../../../config/agent-config.ts";
import { errorText } from "../../../lib/errors.ts";
import { type Certificate, parseCertificate } from "../../../pki/certificate.ts";
import { validateX509Svid } from "../../../pki/validate.ts";
import { serverId } from "../../../spiffe/id.ts";
import type { Lifetime } from "../../../spiffe/rotation.ts";
import { type BundleFacts, trustOf } from "./bundle.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import type { ServerLook, TlsSeen } from "./server-look.ts";
import { momentText } from "./words.ts";

/** What was seen, and by what it is judged. */
export interface ServerFacts {
  readonly config: Pick<AgentConfig, "serverAddress" | "serverPort" | "trustDomain"> & {
    readonly requirePqKem: boolean;
  };
  readonly bundles: BundleFacts;
  readonly look: ServerLook;
  readonly now: number;
}

const NAME_ADVICE: Readonly<Record<string, string>> = {
  ENOTFOUND: "correct server_address, or add the name to DNS or /etc/hosts",
};
const TCP_ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "start the server, or correct server_address and server_port (its bind_port; 8081 by default)",
  EHOSTUNREACH: "check this host's network and routes, and that the server's host is up",
  ENETUNREACH: "check this host's network and routes",
  ECONNRESET: "something between here and the server ends connections: check firewalls and load balancers",
  ETIMEDOUT: "a firewall drops packets, or the host is down: open the port for this node",
  timeout: "a firewall drops packets, or the host is down: open the port for this node, or raise -timeout",
};
const TLS_ADVICE: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: "that port does not speak TLS: check server_port",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "that port does not speak TLS: check server_port",
  ECONNRESET: "the server, or something before it, ended the connection: look into the server's log",
  timeout: "it takes connections and says nothing: check server_port, and whether the server is overloaded",
};

/** Lifetime of the certificate that was shown, for the clock. */
export function shownLifetime(look: ServerLook | undefined): Lifetime | undefined {
  if (look?.step !== "tls" || !("chain" in look.seen)) return undefined;
  return leafOf(look.seen);
}

/** Decides. */
export function judgeServer(facts: ServerFacts): Verdict {
  const { config, look } = facts;
  const { serverAddress: host, serverPort: port } = config;
  const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (look.step === "name") {
    const advice =
      NAME_ADVICE[look.errno] ?? "the name service does not answer: check /etc/resolv.conf and the network";
    return fail(`${host} has no address: ${look.errno}`, advice);
  }
  if (look.step === "tcp") {
    const at = look.addresses.length === 1 && look.addresses[0] === host ? "" : ` (${look.addresses.join(", ")})`;
    return fail(`no connection to ${target}${at}: ${look.errno}`, TCP_ADVICE[look.errno] ?? "check the network");
  }
  const where = look.address === host ? target : `${target} (${look.address})`;
  if (!("chain" in look.seen)) {
    const advice = TLS_ADVICE[look.seen.errno] ?? "check server_port, and look into the server's log";
    return fail(`${where}: the TLS handshake fails: ${look.seen.errno}`, advice);
  }
  const leaf = leafOf(look.seen);
  const details = {
    address: look.address,
    protocol: look.seen.protocol,
    ids: leaf?.uriSans ?? [],
    ...(leaf === undefined ? {} : { certificate_expires_at: new Date(leaf.notAfter).toISOString() }),
  };
  return { ...judgeTls(facts, look.refusal, look.seen, leaf, where), details };
}

function judgeTls(
  facts: ServerFacts,
  refusal: string | undefined,
  seen: TlsSeen,
  leaf: Certificate | undefined,
  where: string,
): Verdict {
  const { config, now } = facts;
  if (leaf === undefined) return fail(`${where} shows no certificate that can be read`, PASS_THROUGH);
  if (refusal === undefined) return accepted(facts, leaf, where);
  if (seen.protocol !== "TLSv1.3") {
    return fail(`${where} speaks ${seen.protocol} at most; the agent wants TLSv1.3`, PASS_THROUGH);
  }
  const wanted = serverId(config.trustDomain);
  const [id] = leaf.uriSans;
  if (id === undefined || !id.startsWith("spiffe://")) {
    const subject = leaf.subject.text === "" ? "another certificate" : `the certificate of "${leaf.subject.text}"`;
    return fail(`${where} shows ${subject}, which names no SPIFFE ID`, PASS_THROUGH);
  }
  if (id !== wanted) {
    const isServer = id.endsWith("/spire/server");
    return fail(
      `${where} is ${id}, not ${wanted}`,
      isServer ? "correct trust_domain, or server_address if this is another's server" : PASS_THROUGH,
    );
  }
  if (now < leaf.notBefore || now > leaf.notAfter) {
    const when =
      now < leaf.notBefore ? `begins ${momentText(leaf.notBefore, now)}` : `ended ${momentText(leaf.notAfter, now)}`;
    return fail(`${where}: the certificate's validity ${when}`, "compare the clocks of this host and the server's");
  }
  return unverified(facts, refusal, seen, where);
}

const PASS_THROUGH =
  "check server_address and server_port; a load balancer or proxy before the server must pass TLS through unchanged";

function accepted({ config, bundles, now }: ServerFacts, leaf: Certificate, where: string): Verdict {
  const trust = trustOf(bundles);
  const found = `${serverId(config.trustDomain)} at ${where}, its certificate valid until ${momentText(leaf.notAfter, now)}`;
  if (trust === "insecure") {
    return warn(`${found}, unverified for insecure_bootstrap`, "anybody could claim to be it: see bundle");
  }
  if (trust === undefined) return warn(`${found}, unverified for lack of a bundle`, "see bundle");
  return ok(`${found}, verified by ${bundles.stored?.kind === "authorities" ? "the stored" : "the configured"} bundle`);
}

/** The certificate is the right server's and in time, and yet refused: by its chain, or by the key exchange. */
function unverified({ config, bundles, now }: ServerFacts, refusal: string, seen: TlsSeen, where: string): Verdict {
  const options = { now, expectedId: serverId(config.trustDomain) };
  const verifies = (authorities: Parameters<typeof validateX509Svid>[1]): string | undefined => {
    try {
      validateX509Svid(seen.chain, authorities, options);
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  };
  const trust = trustOf(bundles);
  const isJudged = trust !== undefined && trust !== "insecure";
  const problem = isJudged ? verifies(trust) : undefined;
  if (problem === undefined) {
    return fail(
      `${where}: ${refusal}`,
      config.requirePqKem
        ? "the server may know no post-quantum key exchange: update it, or unset require_pq_kem"
        : "look into the server's log",
    );
  }
  if (bundles.stored?.kind !== "authorities") {
    return fail(
      `${where} is not vouched for by ${bundles.where}: ${problem}`,
      "the bundle is another server's, or from before it made its CA anew: put there what `holdfast-server bundle show` prints on it",
    );
  }
  const { configured } = bundles;
  const isRenewed =
    configured !== "insecure" && configured.kind === "authorities" && verifies(configured.authorities) === undefined;
  return fail(
    `${where} is not vouched for by the stored bundle: ${problem}`,
    isRenewed
      ? "the configured bundle knows it: if the server was set up anew, stop the agent, move its agent-data.json away and start it"
      : "if the server was set up anew, put its bundle at trust_bundle_path, stop the agent, move its agent-data.json away and start it; if not, this is not your server",
  );
}

function leafOf({ chain }: TlsSeen): Certificate | undefined {
  try {
    return parseCertificate(chain[0] ?? new Uint8Array());
  } catch {
    return undefined;
  }
}
